"""Console script ``plancher-collector``."""

from typing import NoReturn

from host import entry


def main() -> NoReturn:
    """Run the command line, or name the package that is missing."""
    entry.start("plancher-collector", "collector.__main__", "plancher[collector]")
