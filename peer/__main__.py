"""``plancher-peer``: the far end of every measurement, load tests (RFC 9946) and STAMP (RFC 8762)."""

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from host import command_line, log
from host.exits import Exit
from host.notify import Notifier
from net.mqtt import BrokerError
from peer import check, settings
from peer.program import PortTakenError, Program
from peer.settings import PeerSettings

PROGRAM = "plancher-peer"


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises SettingsError for settings that cannot serve."""
    parser = command_line.parser(PROGRAM, "The measurement peer: answers the load tests and STAMP of agents.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text, action in (
        ("run", "serve until told to stop", _run),
        ("check", "try settings, keys, ports, file and broker, and say what is wrong", _check),
    ):
        added = commands.add_parser(name, help=text, description=text.capitalize() + ".")
        added.add_argument(
            "file", nargs="?", type=Path, default=Path("peer.yaml"), metavar="FILE",
            help="the settings file (default: peer.yaml)",
        )  # fmt: skip
        added.set_defaults(action=action)
    options: Namespace = parser.parse_args(arguments)
    chosen = settings.load(options.file)
    code: Exit = options.action(chosen, settings.secrets(chosen))
    return code


def _run(chosen: PeerSettings, secrets: dict[int, bytes]) -> Exit:
    log.start(chosen.log_level)
    try:
        asyncio.run(_until_told(Program(chosen, secrets)))
    except PortTakenError as error:
        return _complain(error, Exit.UNAVAILABLE)
    except BrokerError as error:
        return _complain(error, Exit.CONFIGURATION)
    return Exit.OK


def _complain(error: Exception, code: Exit) -> Exit:
    print(f"{PROGRAM}: {error}", file=sys.stderr)
    return code


async def _until_told(program: Program) -> None:
    stop = asyncio.Event()
    asked_by: list[str] = []

    def ask(name: str) -> None:
        asked_by.append(name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ask, number.name)
    await program.run(stop, Notifier.from_environment(os.environ))
    logging.getLogger("peer").info("stopped, as asked by %s", asked_by[0])


def _check(chosen: PeerSettings, secrets: dict[int, bytes]) -> Exit:
    code = Exit.OK
    for finding in check.findings(chosen, secrets):
        print(finding)
        code = code or finding.code
    return code


def main() -> NoReturn:
    """Run the command line and exit."""
    command_line.run(command, PROGRAM)


if __name__ == "__main__":
    main()
