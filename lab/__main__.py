"""``plancher-lab``: emulated links, for demonstrations, tests and benchmarks on one machine."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from host import command_line, log
from host.exits import Exit
from lab import link_command

PROGRAM = "plancher-lab"


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises SystemExit on a wrong call (``Exit.USAGE``)."""
    parser = command_line.parser(PROGRAM, "Emulated links for demonstrations, tests and benchmarks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    link = commands.add_parser("link", help="run one emulated link")
    link_command.add_arguments(link)
    link.set_defaults(run=link_command.run)
    options = parser.parse_args(arguments)
    log.start("warning")
    status: Exit = options.run(options, _say, _complain)
    return status


def main() -> NoReturn:
    """Run the command line and exit."""
    command_line.run(command, PROGRAM)


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
