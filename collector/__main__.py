"""``plancher-collector``: stores measurements from the broker in the ledger and shows the fleet."""

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace, _SubParsersAction
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from collector import settings
from collector.certificates import command as certificates
from collector.check import check
from collector.ledger.admin.backup import back_up, create, restore
from collector.ledger.admin.verify import verify
from collector.ledger.place import LedgerError
from collector.model.inventory import InventoryError
from collector.pages.completeness import account
from collector.service.service import CollectorService, now_us
from collector.settings import CollectorSettings
from host import command_line, log, rights
from host.command_line import Parser
from host.exits import Exit, code_of
from host.finding import CODES, CheckFinding, exit_code, print_finding
from host.notify import Notifier
from host.settings import SettingsError, belonging_to
from host.units import counted
from net.mqtt import BrokerError

PROGRAM = "plancher-collector"


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises SettingsError for settings that cannot be used."""
    parser = command_line.parser(
        PROGRAM, "Receives measurements from the broker, stores them in a ledger, and shows the fleet."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text, codes, action in (
        ("run", "collect until stopped by a signal", "", _run),
        (
            "check",
            "try settings, inventory, ledger, web address and broker, and report what is wrong",
            f"; {CODES}",
            _check,
        ),
    ):
        added = commands.add_parser(name, help=text, description=f"{text.capitalize()}{codes}.")
        added.add_argument(
            "file", nargs="?", type=Path, default=Path("collector.yaml"), metavar="FILE",
            help="the settings file (default: collector.yaml)",
        )  # fmt: skip
        if action is _run:
            text = "go on with a ledger whose newest day is damaged"
            added.add_argument("--unchecked", action="store_true", help=text)
        added.set_defaults(action=action)
    _add_ledger(commands)
    pki = commands.add_parser("pki", help="make certificates for a trial: authority, broker, sites, peers")
    certificates.add_arguments(pki)
    pki.set_defaults(action=_certificates)
    options: Namespace = parser.parse_args(arguments)
    code: Exit = options.action(options)
    return code


def _add_ledger(commands: "_SubParsersAction[Parser]") -> None:
    text = "verify a ledger, back it up, restore it, begin another"
    ledger = commands.add_parser("ledger", help=text, description=f"{text.capitalize()}.")
    of_ledger = ledger.add_subparsers(required=True, metavar="COMMAND")
    for name, text, action in (
        (
            "verify",
            "check every row and count of a ledger, and list what is missing (exit code 1: damaged)",
            _verify,
        ),
        ("backup", "copy a ledger, even while a collector writes to it, and verify the copy", _back_up),
        (
            "restore",
            "replace a ledger by a backup; agents are then asked to send again what is missing",
            _restore,
        ),
        (
            "create",
            "begin a ledger, also where one was before; agents are then asked to send what they still have",
            _create,
        ),
    ):
        added = of_ledger.add_parser(name, help=text, description=f"{text.capitalize()}.")
        added.add_argument("ledger", type=Path, metavar="FILE", help="the ledger file")
        added.set_defaults(action=action)
        if name == "backup":
            added.add_argument("target", type=Path, metavar="TARGET", help="file to write the backup to")
            added.add_argument("--force", action="store_true", help="replace TARGET if it exists")
        elif name == "restore":
            added.add_argument("backup", type=Path, metavar="BACKUP", help="backup file to restore from")


def _load(path: Path) -> CollectorSettings:
    chosen = settings.load(path)
    with belonging_to(path):
        rights.become_owner(Path(chosen.ledger.path))
    return chosen


def _run(options: Namespace) -> Exit:
    chosen = _load(options.file)
    log.start(chosen.log_level)
    try:
        asyncio.run(_until_stopped(CollectorService(chosen, unchecked=options.unchecked)))
    except InventoryError as error:
        return _complain(str(error), code_of(error))
    except BrokerError as error:
        return _complain(f"{options.file}: {error}", code_of(error))
    except LedgerError as error:
        return _complain(str(error), Exit.CANNOT_CREATE)
    except OSError as error:
        # Of all I/O at the start, only the address of the web server raises OSError.
        web = chosen.web
        text = f"web: {web.host}:{web.port}: {error.strerror}: name another host or port"
        return _complain(text, Exit.UNAVAILABLE)
    except ExceptionGroup:
        # A task of the service failed, which cancelled all others.
        logging.getLogger(__name__).exception("stopped by an internal error: please report it")
        return Exit.SOFTWARE
    return Exit.OK


async def _until_stopped(program: CollectorService) -> None:
    stop = asyncio.Event()
    signals: list[str] = []

    def stop_by(name: str) -> None:
        signals.append(name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_by, number.name)
    await program.run(stop, Notifier.from_environment(os.environ))
    logging.getLogger("collector").info("stopped by %s", signals[0])


def _check(options: Namespace) -> Exit:
    log.start("error")  # the broker's answer becomes a finding; a log line would repeat it
    try:
        chosen = _load(options.file)
    except SettingsError as error:
        return print_finding(CheckFinding("settings", str(error), code_of(error)))
    print_finding(CheckFinding("settings", str(options.file)))
    return exit_code([print_finding(finding) for finding in check(chosen)])


def _verify(options: Namespace) -> Exit:
    rights.become_owner(options.ledger)
    try:
        found = verify(options.ledger, now_us(), _to_stderr)
    except LedgerError as error:
        return _complain(str(error), Exit.CANNOT_CREATE)
    for problem in found.problems:
        print(f"WRONG  {options.ledger}: {problem}")
    if found.problems:
        return Exit.FAIL
    print(f"ok     {options.ledger}: sound, {counted(found.measurements, 'measurement')}")
    for line in account(found.held):
        print(f"       {line}")
    return Exit.OK


def _back_up(options: Namespace) -> Exit:
    # The target is what is written; the backups of root are often in a folder of root.
    rights.become_owner(options.target)
    try:
        found = back_up(options.ledger, options.target, now_us(), _to_stderr, replace=options.force)
    except LedgerError as error:
        return _complain(str(error), Exit.CANNOT_CREATE)
    print(f"ok     {options.target}: verified, {counted(found.measurements, 'measurement')}")
    return Exit.OK


def _restore(options: Namespace) -> Exit:
    rights.become_owner(options.ledger)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")  # the upgrade of an older backup logs
    try:
        aside = restore(options.ledger, options.backup, now_us(), _to_stderr)
    except LedgerError as error:
        return _complain(str(error), Exit.CANNOT_CREATE)
    print(f"ok     {options.ledger}: restored; its collector will ask every site to send later records again")
    if aside is not None:
        print(f"ok     {aside}: the ledger from before")
    return Exit.OK


def _create(options: Namespace) -> Exit:
    rights.become_owner(options.ledger)
    try:
        create(options.ledger)
    except LedgerError as error:
        return _complain(str(error), Exit.CANNOT_CREATE)
    print(f"ok     {options.ledger}: begun; its collector will ask every site to send what it still has")
    return Exit.OK


def _certificates(options: Namespace) -> Exit:
    rights.become_owner(options.directory / "ca.key")
    return certificates.run(options, print, _to_stderr)


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def _complain(text: str, code: Exit) -> Exit:
    print(f"{PROGRAM}: {text}", file=sys.stderr)
    return code


def main() -> NoReturn:
    """Run the command line and exit."""
    command_line.run(command, PROGRAM, "plancher[collector]")


if __name__ == "__main__":
    main()
