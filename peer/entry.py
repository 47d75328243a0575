"""Console script ``plancher-peer``."""

from typing import NoReturn

from host import entry


def main() -> NoReturn:
    """Run the command line, or name the package that is missing."""
    entry.start("plancher-peer", "peer.__main__", "plancher")
