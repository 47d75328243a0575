"""``plancher-agent``: the command line of the agent."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from agent import configuration
from agent.probes import PROBES
from agent.settings.file import become_owner_of_files
from agent.settings.sections import AgentSettings
from host import command_line
from host.finding import CODES
from host.settings import belonging_to

PROGRAM = "plancher-agent"
DEFAULT_FILE = "agent.yaml"
MEASURE = "measure once, now, and show the result"
MEASURE_AT_LENGTH = (
    f"{MEASURE}; exit 0: pass, or measured where there is no floor; 1: fail, or an outage; 2: undecided."
    " Without --probe it measures floor and STAMP. By name only: capacity, which fills the line and may cost"
    " hundreds of megabytes, within its budget; path, which needs the capability CAP_NET_RAW; interface,"
    " which takes a minute; and reachability, which reports which devices and services answer."
)


def _parser() -> command_line.Parser:
    parser = command_line.parser(PROGRAM, "Measures a site's line against the floor it was promised.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add(commands, "run", "measure on schedule and send the results, until SIGTERM")
    measure = _add(commands, "measure", MEASURE, MEASURE_AT_LENGTH)
    measure.add_argument("--peer", metavar="HOST", help="measure against this peer instead")
    measure.add_argument("--probe", metavar="NAME", help=f"this probe only: {', '.join(PROBES)}")
    measure.add_argument("--direction", choices=["down", "up"], help="this direction only")
    measure.add_argument(
        "--pre-drain", action="store_true", help="empty a token bucket before each floor test (some MB more)"
    )
    measure.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    check = "try everything the settings ask for, and report faults"
    _add(commands, "check", check, f"{check}; {CODES}.")
    shown = "state of the agent on this machine, on one screen"
    at_length = f"{shown}; exit 0: it runs without a problem; 1: there is a problem."
    status = _add(commands, "status", shown, at_length)
    status.add_argument("--json", action="store_true", help="one line of JSON on standard output")
    return parser


def _add(
    commands: "argparse._SubParsersAction[command_line.Parser]", name: str, text: str, at_length: str = ""
) -> command_line.Parser:
    described = at_length or f"{text}."
    added = commands.add_parser(name, help=text, description=described[0].upper() + described[1:])
    added.add_argument(
        "file", nargs="?", type=Path, default=Path(DEFAULT_FILE), metavar="FILE",
        help=f"the settings file (default: {DEFAULT_FILE})",
    )  # fmt: skip
    added.set_defaults(parser=added)
    return added


def _dispatch(arguments: Sequence[str] | None) -> int:
    # Each command is imported when it is needed: the others would take memory and time of its start.
    parsed = _parser().parse_args(arguments)
    if parsed.command == "measure" and parsed.probe not in (None, *PROBES):
        parsed.parser.error(f"unknown probe {parsed.probe}: choose from {', '.join(PROBES)}")
    if parsed.command == "check":
        from agent.commands import check

        return check.main(parsed.file)
    chosen = configuration.load(parsed.file)
    with belonging_to(parsed.file):
        become_owner_of_files(chosen)
    if parsed.command == "run":
        from agent.commands import run

        return run.main(chosen, parsed.file)
    if parsed.command == "status":
        from agent.commands import status

        return status.main(chosen, json=parsed.json)
    return _measure(chosen, parsed)


def _measure(chosen: AgentSettings, parsed: argparse.Namespace) -> int:
    from agent.commands import measure
    from agent.commands.measure import Selection

    selection = Selection(parsed.peer, parsed.probe, parsed.direction, parsed.pre_drain)
    return measure.main(chosen, parsed.file, selection, json=parsed.json)


def main() -> None:
    """Run the command line."""
    command_line.run(_dispatch, PROGRAM)


if __name__ == "__main__":
    main()
