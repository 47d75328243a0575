"""Console script ``plancher-agent``."""

from typing import NoReturn

from host import entry


def main() -> NoReturn:
    """Run the command line, or name the package that is missing."""
    entry.start("plancher-agent", "agent.__main__", "plancher")
