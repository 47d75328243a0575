"""``plancher-collector``: measurements from the broker into the ledger, receipts, metrics and overview."""

import asyncio
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from collector import settings
from collector.check import check
from collector.inventory import InventoryError
from collector.ledger.database import LedgerError
from collector.program import Program
from collector.settings import CollectorSettings
from host import command_line, log
from host.exits import Exit
from host.notify import Notifier
from net.mqtt import BrokerError

PROGRAM = "plancher-collector"


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises SettingsError for settings that cannot serve."""
    parser = command_line.parser(
        PROGRAM, "Takes measurements from the broker, keeps them, and shows the fleet."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text, action in (
        ("run", "collect until told to stop", _run),
        ("check", "try settings, inventory, ledger and broker, and say what is wrong", _check),
    ):
        added = commands.add_parser(name, help=text)
        added.add_argument("file", nargs="?", type=Path, default=Path("collector.yaml"), metavar="FILE")
        added.set_defaults(action=action)
    options: Namespace = parser.parse_args(arguments)
    code: Exit = options.action(settings.load(options.file))
    return code


def _run(chosen: CollectorSettings) -> Exit:
    log.start(chosen.log_level)
    try:
        asyncio.run(_until_told(Program(chosen)))
    except (InventoryError, BrokerError) as error:
        return _complain(str(error), Exit.CONFIGURATION)
    except LedgerError as error:
        return _complain(str(error), Exit.CANNOT_CREATE)
    except OSError as error:
        web = chosen.web
        text = f"web: {web.host}:{web.port}: {error.strerror}: name another host or port"
        return _complain(text, Exit.UNAVAILABLE)
    except ExceptionGroup:
        logging.getLogger(__name__).exception("ended by an error of its own")
        return Exit.SOFTWARE
    return Exit.OK


async def _until_told(program: Program) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await program.run(stop, Notifier.from_environment(os.environ))


def _check(chosen: CollectorSettings) -> Exit:
    codes = []
    for finding in check(chosen):
        print(f"{'ok' if finding.code is Exit.OK else 'WRONG':5}  {finding.subject}: {finding.text}")
        codes.append(finding.code)
    return next((code for code in codes if code is not Exit.OK), Exit.OK)


def _complain(text: str, code: Exit) -> Exit:
    print(f"{PROGRAM}: {text}", file=sys.stderr)
    return code


def main() -> NoReturn:
    """Run the command line and exit."""
    command_line.run(command, PROGRAM)


if __name__ == "__main__":
    main()
