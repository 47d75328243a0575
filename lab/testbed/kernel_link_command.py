"""``plancher-lab kernel-link``: one link through real kernel queues, with a peer behind it, run by hand."""

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

from host.command_line import reader
from host.exits import Exit
from lab.links import quantities
from lab.links.options import DEFAULT_QUEUE, PAIR, QUEUE_HELP, both, queue, queue_bytes
from lab.netns import names
from lab.netns.links.link import KernelLineCounters, KernelLink
from lab.netns.names import End
from lab.netns.places import CONTROL_PORT, FAR_ADDRESS, INTERFACE, STAMP_PORT
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings, WirePlace
from lab.programs import tether
from wire.records import Direction
from wire.stamp.statistics import percentile

if TYPE_CHECKING:
    from lab.testbed.kernel_testbed import KernelStand

Say = Callable[[str], None]

AGENT_FILE = "{agent}"
PERCENTILES = {"min": 0, "p50": 50, "p99": 99, "max": 100}
DEFAULT_REORDERING = 5 * 10**6
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
DESCRIPTION = f"""\
Put a site and a measurement peer into network namespaces of their own, with a line of real kernel queues in
between, and run COMMAND at the site. Needs root and the programs ip, tc and nft. Nothing inside can reach the
network of this machine, and everything is removed at the end; what a killed run left is removed by the next.

Inside the site the peer is {FAR_ADDRESS} (RFC 9946 on port {CONTROL_PORT}, STAMP on {STAMP_PORT}) and the one
interface is {INTERFACE}. {AGENT_FILE} in COMMAND stands for agent settings that fit: the peer, its key, a
floor of 8 Mbit/s each way, line counters inline. Without COMMAND the link waits for Ctrl-C and tells how to
enter it.
One value holds for both directions; DOWN,UP gives each its own. Rates are of the IP layer, the same for
packets of every size. Delay, jitter and reordering are a wire's: a process that holds each packet; how
long packets really were inside the link, queue included, is told at the end."""
EXAMPLE = f"""\
example: what does the agent say of a line of 8.4 Mbit/s each way with 1 % loss towards the site?
  plancher-lab kernel-link --down 8.4M --up 8.4M --loss 1%,0 -- plancher-agent measure {AGENT_FILE}
The exit status is COMMAND's; what became of the packets is told on standard error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the options of ``kernel-link``."""
    parser.description, parser.epilog = DESCRIPTION, EXAMPLE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add, rate = parser.add_argument, reader(quantities.rate)
    add("--down", type=rate, metavar="RATE", help="rate towards the site, e.g. 8.4M (default: no limit)")
    add("--up", type=rate, metavar="RATE", help="the same from the site")
    for option, read, default, text in (
        ("--queue", queue, DEFAULT_QUEUE, QUEUE_HELP),
        (
            "--burst",
            quantities.size,
            0,
            "token bucket that passes at once before the rate is felt, e.g. 2MB (at least 5 kB or 2 ms)",
        ),
        ("--loss", quantities.share, 0.0, "share of packets lost at random before the queue, e.g. 1%%"),
        ("--duplicate", quantities.share, 0.0, "share of packets that pass the queue twice"),
        ("--delay", quantities.duration, 0, "fixed delay by a wire, e.g. 20ms"),
        ("--jitter", quantities.duration, 0, "uniform between 0 and this, never reordering, e.g. 2ms"),
        ("--reorder", quantities.share, 0.0, "share of packets held back so that later ones pass"),
        ("--reorder-by", quantities.duration, DEFAULT_REORDERING, "for how long (default: 5ms)"),
    ):
        add(option, type=reader(both(read)), default=(default, default), metavar=PAIR, help=text)
    add("--wire", type=WirePlace, choices=list(WirePlace), default=WirePlace.BEFORE_QUEUE,
        help="whether delay comes before or after the queue (default: %(default)s)")  # fmt: skip
    add("--seed", type=int, default=0, help="of jitter and reordering (default: %(default)s)")
    add("--policer", action="store_true", help="drop what exceeds rate and --burst instead of queueing it")
    add("command", nargs="*", metavar="COMMAND", help="what to run at the site, after --")


def settings_from(options: argparse.Namespace) -> KernelLinkSettings:
    """Build a kernel link's settings from parsed options."""
    down, up = (_line(options, direction) for direction in (0, 1))
    return KernelLinkSettings(down, up, logged=down.wired or up.wired)


def run(options: argparse.Namespace, say: Say, complain: Say) -> int:
    """Set up the link, run the command or wait, and remove everything; the command's exit status."""
    settings = settings_from(options)
    if faults := settings.faults():
        complain(f"configuration: {'; '.join(faults)}")
        return Exit.USAGE
    command = options.command
    if command and shutil.which(command[0]) is None:
        complain(f"configuration: no program {command[0]} here that could be run at the site")
        return Exit.USAGE
    # Agent and peer weigh twice as much as all that the lab's other commands need.
    from lab.testbed.kernel_testbed import KernelStand

    try:
        _remove_stale_files()
        with _ended_by_signals(), TemporaryDirectory(prefix=names.files_prefix()) as folder:
            return _serve(KernelStand(Path(folder), settings), command, say, complain)
    except KernelLinkError as error:
        complain(f"this machine: {error}")
        return Exit.UNAVAILABLE


def describe(name: Direction, counters: KernelLineCounters) -> str:
    """Return what became of one direction's packets, for a person."""
    dropped = "".join(f", {count} {cause}" for cause, count in sorted(counters.dropped_packets.items()))
    duplicated = f", {counters.duplicated_packets} duplicated" if counters.duplicated_packets else ""
    delivered = f"{counters.delivered_packets} packets ({counters.delivered_bytes} B) out"
    return f"{name:4} {delivered}{dropped}{duplicated}"


def describe_delays(link: KernelLink, direction: Direction) -> str:
    """Return how long packets really were inside the link, for a person."""
    try:
        delays = sorted(one.delay_ns for one in link.log(direction) if one.delay_ns is not None)
    except KernelLinkError as error:
        return f"     delay: {error}"
    if not delays:
        return "     delay: no packet"
    told = (f"{name} {percentile(delays, percent) / 1e6:.3f} ms" for name, percent in PERCENTILES.items())
    return f"     delay: {len(delays)} packets, {', '.join(told)}"


def _line(options: argparse.Namespace, direction: int) -> KernelLineSettings:
    rate = (options.down, options.up)[direction]
    return KernelLineSettings(
        rate=rate,
        queue=queue_bytes(options.queue[direction], rate),
        burst=options.burst[direction],
        policer=options.policer,
        loss=options.loss[direction],
        duplication=options.duplicate[direction],
        delay=options.delay[direction],
        jitter=options.jitter[direction],
        reordering=options.reorder[direction],
        reordering_delay=options.reorder_by[direction],
        wire_place=options.wire,
        seed=2 * options.seed + direction,
    )


def _serve(stand: "KernelStand", command: Sequence[str], say: Say, complain: Say) -> int:
    with stand:
        status = _run_inside(stand, command) if command else _wait(stand, say)
        # What removes the namespaces must not be interrupted by a second Ctrl-C, nor its programs.
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        tell = complain if command else say
        for direction in Direction:
            tell(describe(direction, stand.link.counters(direction)))
            if stand.link.settings.line(direction).wired:
                tell(describe_delays(stand.link, direction))
    return status


def _run_inside(stand: "KernelStand", command: Sequence[str]) -> int:
    """The terminal's Ctrl-C reaches the command itself; other requests to end are passed on to it."""
    signal.signal(signal.SIGINT, lambda *_: None)
    words = [word.replace(AGENT_FILE, str(stand.agent_file)) for word in command]
    tied = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()))
    process = subprocess.Popen((*tied, *stand.link.inside(End.SITE, *words)))  # noqa: S603 -- the caller's own
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: process.send_signal(number))
    status = process.wait()
    return 128 - status if status < 0 else status


def _wait(stand: "KernelStand", say: Say) -> Exit:
    site = stand.link.namespace(End.SITE)
    agent = Path(sys.executable).parent / "plancher-agent"
    with contextlib.suppress(KeyboardInterrupt):
        say(f"kernel link up: peer at {FAR_ADDRESS}, ports {CONTROL_PORT}, {STAMP_PORT}; Ctrl-C ends it")
        say(f"enter:   ip netns exec {site} sh")
        say(f"measure: ip netns exec {site} {agent} measure {stand.agent_file}")
        while True:
            signal.pause()
    return Exit.OK


def _remove_stale_files() -> None:
    """What a killed run left: among it the key of a peer that is gone."""
    place = Path(gettempdir())
    for name in names.stale(path.name for path in place.iterdir()):
        shutil.rmtree(place / name, ignore_errors=True)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """However this program is told to end, what it set up is removed on the way out."""
    before = {number: signal.signal(number, _interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
