"""``plancher-peer``: serves load tests (RFC 9946) and reflects STAMP (RFC 8762)."""

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from host import command_line, log, rights
from host.exits import Exit, code_of
from host.finding import CODES, CheckFinding, exit_code, print_finding
from host.notify import Notifier
from host.settings import SettingsError, belonging_to
from host.units import counted
from net.mqtt import BrokerError
from outbox.journal.file import JournalError
from peer import check, settings
from peer.program import PeerService, PortTakenError
from peer.settings import PeerSettings

PROGRAM = "plancher-peer"


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises SettingsError for settings that cannot be used."""
    parser = command_line.parser(
        PROGRAM, "Measurement peer: serves the load tests of agents and answers their STAMP packets."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text, codes, action in (
        ("run", "serve until stopped by a signal", "", _run),
        (
            "check",
            "try settings, keys, ports, file and broker, and report what is wrong",
            f"; {CODES}",
            _check,
        ),
    ):
        added = commands.add_parser(name, help=text, description=f"{text.capitalize()}{codes}.")
        added.add_argument(
            "file", nargs="?", type=Path, default=Path("peer.yaml"), metavar="FILE",
            help="the settings file (default: peer.yaml)",
        )  # fmt: skip
        added.set_defaults(action=action)
    options: Namespace = parser.parse_args(arguments)
    code: Exit = options.action(options.file)
    return code


def _load(path: Path) -> tuple[PeerSettings, dict[int, bytes]]:
    chosen = settings.load(path)
    # A mistake in a key file names the settings file, too: that is the file which the operator knows.
    with belonging_to(path):
        if chosen.broker is not None:
            rights.become_owner(Path(chosen.tests.path))
        return chosen, settings.secrets(chosen)


def _run(path: Path) -> Exit:
    chosen, secrets = _load(path)
    # Only now: mistakes in the settings are reported to the terminal, as one line.
    log.start(chosen.log_level)
    try:
        asyncio.run(_until_stopped(PeerService(chosen, secrets)))
    except PortTakenError as error:
        return _complain(str(error), Exit.UNAVAILABLE)
    except JournalError as error:
        return _complain(f"{path}: tests.path: {error}", Exit.CANNOT_CREATE)
    except BrokerError as error:
        return _complain(f"{path}: {error}", code_of(error))
    return Exit.OK


def _complain(text: str, code: Exit) -> Exit:
    print(f"{PROGRAM}: {text}", file=sys.stderr)
    return code


async def _until_stopped(program: PeerService) -> None:
    stop = asyncio.Event()
    signals: list[str] = []

    def stop_by(name: str) -> None:
        signals.append(name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_by, number.name)
    await program.run(stop, Notifier.from_environment(os.environ))
    logging.getLogger("peer").info("stopped by %s", signals[0])


def _check(path: Path) -> Exit:
    log.start("error")  # the broker's answer becomes a finding; a log line would repeat it
    try:
        chosen, secrets = _load(path)
    except SettingsError as error:
        return print_finding(CheckFinding("settings", str(error), code_of(error)))
    print_finding(CheckFinding("settings", f"{path}: {chosen.name}, {counted(len(secrets), 'key')}"))
    return exit_code([print_finding(finding) for finding in check.findings(chosen, secrets)])


def main() -> NoReturn:
    """Run the command line and exit."""
    command_line.run(command, PROGRAM)


if __name__ == "__main__":
    main()
