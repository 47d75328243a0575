"""Command ``plancher-lab kernel-link``: one kernel link with a peer behind it, run by hand."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from types import FrameType
from typing import TYPE_CHECKING

from host.exits import Exit
from lab.links.options import add_line_options, line_values
from lab.netns import names
from lab.netns.links.link import KernelLineCounters, KernelLink
from lab.netns.names import LinkNode
from lab.netns.places import CONTROL_PORT, FAR_ADDRESS, INTERFACE, STAMP_PORT
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings, WirePlace
from lab.programs import tether
from wire.records import Direction
from wire.stamp.statistics import percentile

if TYPE_CHECKING:
    from lab.testbed.kernel_testbed import KernelTestbed

Say = Callable[[str], None]

AGENT_FILE = "{agent}"
PERCENTILES = {"min": 0, "p50": 50, "p99": 99, "max": 100}
DEFAULT_REORDERING = 5 * 10**6
NOTES = {
    "burst": " (at least 5 kB or 2 ms of the rate)",
    "loss": ", before the queue",
    "duplicate": ", before the queue",
    "reorder-by": " (default: 5ms)",
}
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DESCRIPTION = f"""\
Put a site and a measurement peer into network namespaces of their own, join them by a line of Linux kernel
queues, and run COMMAND at the site. Needs root and the programs ip, tc and nft. The namespaces are cut off
from this machine's network. They are removed at the end; the next run removes those of a killed run.

At the site the peer has the address {FAR_ADDRESS} (RFC 9946 on port {CONTROL_PORT}, STAMP on {STAMP_PORT}),
and the only interface is {INTERFACE}. {AGENT_FILE} in COMMAND is replaced by the path of fitting agent
settings: the peer, its key, a floor of 8 Mbit/s in each direction, line counters inline. Without COMMAND the
link runs until Ctrl-C and prints how to enter the site.
One value is for both directions; DOWN,UP gives each its own. Rates are IP-layer rates, for packets of every
size. Delay, jitter and reordering are made by a process that delays each packet. At the end the command
prints how long the packets were really inside the link, queue included."""
EXAMPLE = f"""\
example: the agent's report on a line of 8.4 Mbit/s in each direction with 1 % loss towards the site
  plancher-lab kernel-link --down 8.4M --up 8.4M --loss 1%,0 -- plancher-agent measure {AGENT_FILE}
The exit status is COMMAND's. Packet counters are printed on standard error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``kernel-link`` to a parser."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add_line_options(parser, reorder_by=DEFAULT_REORDERING, notes=NOTES)
    add("--wire", type=WirePlace, choices=list(WirePlace), default=WirePlace.BEFORE_QUEUE,
        help="delay packets before or after the queue (default: %(default)s)")  # fmt: skip
    add("command", nargs="*", metavar="COMMAND", help="command to run at the site, after --")


def settings_from(options: argparse.Namespace) -> KernelLinkSettings:
    """Build a kernel link's settings from parsed options."""
    down, up = (_line(options, direction) for direction in (0, 1))
    return KernelLinkSettings(down, up, logged=down.wired or up.wired)


def run(options: argparse.Namespace, say: Say, complain: Say) -> int:
    """Set up the link, run the command or wait, and remove everything; return the command's exit status."""
    settings = settings_from(options)
    if faults := settings.faults():
        complain(f"configuration: {'; '.join(faults)}")
        return Exit.USAGE
    command = options.command
    if command and shutil.which(command[0]) is None:
        complain(f"configuration: cannot run {command[0]} at the site: this machine has no such program")
        return Exit.USAGE
    # Imported here: agent and peer need twice the memory of all that the lab's other commands import.
    from lab.testbed.kernel_testbed import KernelTestbed

    try:
        _remove_stale_files()
        with _ended_by_signals(), TemporaryDirectory(prefix=names.files_prefix()) as folder:
            return _serve(KernelTestbed(Path(folder), settings), command, say, complain)
    except KernelLinkError as error:
        complain(f"cannot set up the link: {error}")
        return Exit.UNAVAILABLE


def describe(name: Direction, counters: KernelLineCounters) -> str:
    """Return the packet counters of one direction as a line of text."""
    dropped = "".join(f", {count} {cause}" for cause, count in sorted(counters.dropped_packets.items()))
    duplicated = f", {counters.duplicated_packets} duplicated" if counters.duplicated_packets else ""
    delivered = f"{counters.delivered_packets} packets ({counters.delivered_bytes} B) out"
    return f"{name:4} {delivered}{dropped}{duplicated}"


def describe_delays(link: KernelLink, direction: Direction) -> str:
    """Return the measured delays of one direction as a line of text."""
    try:
        delays = sorted(one.delay_ns for one in link.log(direction) if one.delay_ns is not None)
    except KernelLinkError as error:
        return f"     delay: {error}"
    if not delays:
        return "     delay: no packet left the link"
    figures = (f"{name} {percentile(delays, percent) / 1e6:.3f} ms" for name, percent in PERCENTILES.items())
    return f"     delay: {len(delays)} packets, {', '.join(figures)}"


def _line(options: argparse.Namespace, direction: int) -> KernelLineSettings:
    return KernelLineSettings(**line_values(options, direction), wire_place=options.wire)


def _serve(testbed: "KernelTestbed", command: Sequence[str], say: Say, complain: Say) -> int:
    with testbed:
        status = _run_inside(testbed, command) if command else _wait(testbed, say)
        # A second Ctrl-C must not interrupt the removal of the namespaces, nor the programs that remove them.
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        report = complain if command else say
        for direction in Direction:
            report(describe(direction, testbed.link.counters(direction)))
            if testbed.link.settings.line(direction).wired:
                report(describe_delays(testbed.link, direction))
    return status


def _run_inside(testbed: "KernelTestbed", command: Sequence[str]) -> int:
    # The terminal's Ctrl-C reaches the command itself; other requests to end are passed on to it.
    signal.signal(signal.SIGINT, lambda *_: None)
    words = [word.replace(AGENT_FILE, str(testbed.agent_file)) for word in command]
    tied = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()))
    process = subprocess.Popen((*tied, *testbed.link.inside(LinkNode.SITE, *words)))  # noqa: S603 -- the caller's own
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: process.send_signal(number))
    status = process.wait()
    return 128 - status if status < 0 else status


def _wait(testbed: "KernelTestbed", say: Say) -> Exit:
    site = testbed.link.namespace(LinkNode.SITE)
    agent = Path(sys.executable).parent / "plancher-agent"
    with contextlib.suppress(KeyboardInterrupt):
        say(f"kernel link up: peer at {FAR_ADDRESS}, ports {CONTROL_PORT}, {STAMP_PORT}; Ctrl-C ends it")
        say(f"to enter:   ip netns exec {site} sh")
        say(f"to measure: ip netns exec {site} {agent} measure {testbed.agent_file}")
        while True:
            signal.pause()
    return Exit.OK


def _remove_stale_files() -> None:
    """Remove the directories of killed runs, with the keys of their peers."""
    place = Path(gettempdir())
    for name in names.stale(path.name for path in place.iterdir()):
        shutil.rmtree(place / name, ignore_errors=True)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt on every signal that asks for the end."""
    before = {number: signal.signal(number, _interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
