"""Command line of the lab, ``plancher-lab``: emulated links, the demo and the soak test."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from host import command_line, log
from host.exits import Exit
from lab.links import command as link_command
from lab.testbed import kernel_link_command

PROGRAM = "plancher-lab"
DEMO = """\
Start four emulated sites with known lines, an MQTT broker, and the real programs: a peer, a collector, and an
agent at each site. Show what they measure beside the emulated values. Needs no root; all traffic stays on
loopback."""
SOAK = """\
Run agents, a real Mosquitto and the collector on this machine, and cause a fault every few seconds: killed
programs, a broken connection, a broker that acknowledges what it does not deliver, a collector that rejects
everything. Then end all faults and count: what was journalled, what the ledger contains, what was lost.
Exit status 0 if nothing was lost, doubled or invented."""
MOST_MINUTES = 7 * 24 * 60
CHECK = "compare every figure with the emulated value and exit: 0 if all agree, 1 if not; within 120 s"


def command(arguments: Sequence[str]) -> int:
    """Run one command and return its exit status. Raises SystemExit on a wrong call (``Exit.USAGE``)."""
    parser = command_line.parser(PROGRAM, "Emulated links, a demo and a soak test, on one machine.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    link = commands.add_parser("link", help="run one emulated link, without root")
    link_command.add_arguments(link)
    link.set_defaults(run=lambda options: link_command.run(options, _say, _complain))
    kernel = commands.add_parser(
        "kernel-link", help="run a command over one link of Linux kernel queues, as root"
    )
    kernel_link_command.add_arguments(kernel)
    kernel.set_defaults(run=lambda options: kernel_link_command.run(options, _say, _complain))
    demo = commands.add_parser(
        "demo", help="measure four emulated sites and show the results", description=DEMO
    )
    demo.add_argument("--check", action="store_true", help=CHECK)
    demo.set_defaults(run=_demo)
    soak = commands.add_parser(
        "soak", help="break the real programs for some minutes and count what was lost", description=SOAK
    )
    soak.add_argument("--minutes", type=_minutes, default=5.0, help="how long to cause faults (default: 5)")
    soak.add_argument("--seed", type=int, help="repeat the faults of this seed (default: a new seed)")
    soak.set_defaults(run=_soak)
    options = parser.parse_args(arguments)
    log.start("warning")
    status: int = options.run(options)
    return status


def _minutes(text: str) -> float:
    # In no time nothing is journalled, and the account of nothing closes.
    with suppress(ValueError):
        if 0 < float(text) <= MOST_MINUTES:
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number of minutes above 0, at most {MOST_MINUTES}")


def _demo(options: argparse.Namespace) -> Exit:
    try:
        from lab.demo import command as demo_command
    except ModuleNotFoundError as error:
        _complain(f"configuration: the demo needs the module {error.name}; install it with `make install`")
        return Exit.UNAVAILABLE
    return demo_command.run(options, _complain)


def _soak(options: argparse.Namespace) -> Exit:
    try:
        from lab.faults.scenarios import soak
    except ModuleNotFoundError as error:
        _complain(
            f"configuration: the soak test needs the module {error.name}; install it with `make install`"
        )
        return Exit.UNAVAILABLE
    return soak.run(options, _say, _complain)


def main() -> NoReturn:
    """Run the command line and exit."""
    command_line.run(command, PROGRAM, "plancher-lab")


def _say(text: str) -> None:
    print(text, flush=True)


def _complain(text: str) -> None:
    print(f"{PROGRAM}: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
