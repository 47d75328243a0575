"""Frame of a benchmark's command: its console, what this machine lacks, and how a run ends."""

import sys
from collections.abc import Sequence

from rich.console import Console

from host.exits import Exit


def console(width: int) -> Console:
    """Make the console of the results, ``width`` columns wide where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else width, highlight=False, markup=False)


def refuse(program: str, problem: object) -> Exit:
    """Print why nothing can be measured here, and return the exit status."""
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False).print(f"{program}: {problem}")
    return Exit.UNAVAILABLE


def lacks(lacking: Sequence[str]) -> str:
    """Name everything that this machine lacks, at once."""
    return f"this machine lacks {'; '.join(lacking)}"


def conclude(console: Console, faults: Sequence[str], remark: str = "") -> Exit:
    """Print each missed bar and the verdict, and return the exit status."""
    for fault in faults:
        console.print(f"missed: {fault}")
    console.print(f"{'bars missed' if faults else 'every bar met'}{remark}")
    return Exit.FAIL if faults else Exit.OK
