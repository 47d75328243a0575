"""Console script ``plancher-lab``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, or name the package that is missing."""
    try:
        from host import entry
    except ModuleNotFoundError:
        print("plancher-lab: plancher itself is not installed: pip install plancher-lab", file=sys.stderr)  # noqa: T201
        sys.exit(69)
    entry.start("plancher-lab", "lab.__main__", "plancher-lab")
