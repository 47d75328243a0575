"""Benchmark ``make bench-load``: fixed-rate loads to 1 Gbit/s beside iperf3, over loopback and a kernel link.

The real client measures against the real peer in both directions: packets received and lost, and processor
time of each end for a gigabyte. In the same round on the same line iperf3 sends UDP packets of the same size
at the same rate, and TCP. Exit status 0 only if every bar is met.
"""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from host import command_line
from lab.bench import frame, load_tools
from lab.bench.load_tools import KEY_ID, Cost, LoadLine, LoadToolError
from lab.netns import requirements
from lab.netns.links.joining import join_arrivals
from lab.netns.links.link import KernelLink
from lab.netns.names import LinkNode
from lab.netns.places import CONTROL_PORT, FAR_ADDRESS, STAMP_PORT
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLinkSettings
from lab.programs import places
from lab.programs.supervisor import ChildProgram, Supervisor
from lab.testbed.start import start_ready
from wire.records import Direction

PROGRAM = "bench-load"
TOOLS = {"iperf3": "iperf3", "ethtool": "ethtool"}
RATES_MBPS = (8, 100, 500, 1000)
IPERF_PORT = 5201

BAR_MBPS = 1000
JOINED = "kernel link, GRO"
RECEIVED_SHARE = 0.99


@dataclass(slots=True)
class LoadRow:
    """Results of one line, direction and rate."""

    place: str
    direction: Direction
    rate_mbps: int
    ours: list[Cost] = field(default_factory=list)
    udp: list[Cost] = field(default_factory=list)
    tcp: list[Cost] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Line, direction and rate."""
        return f"{self.place} {self.direction} {self.rate_mbps} Mbit/s"

    def faults(self) -> list[str]:
        """List the bars that the medians of this row miss."""
        found = [f"{self.name}: {problem}" for problem in self.problems]
        if not self.ours:
            return found or [f"{self.name}: nothing was measured"]
        share = median(cost.received_bps for cost in self.ours) / (self.rate_mbps * 1e6)
        if self.rate_mbps == BAR_MBPS and share < RECEIVED_SHARE:
            found.append(f"{self.name}: {100 * share:.2f} % of the rate was received")
        lost = median(cost.loss for cost in self.ours)
        if self.rate_mbps == BAR_MBPS and lost:
            found.append(f"{self.name}: {100 * lost:.3f} % of the packets were lost")
        if self.udp and per_gb(self.ours) > per_gb(self.udp):
            found.append(
                f"{self.name}: {per_gb(self.ours):.2f} CPU-s/GB, more than iperf3's {per_gb(self.udp):.2f}"
            )
        return found


def per_gb(costs: Sequence[Cost]) -> float:
    """Return the median processor time of both ends for a gigabyte."""
    return median(cost.per_gb for cost in costs)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 0 if every bar is met."""
    parser = command_line.parser(
        PROGRAM, "Measure loads to 1 Gbit/s and their processor time, beside iperf3."
    )
    parser.add_argument("--runs", type=int, default=3, help="rounds of all tests (default: 3)")
    parser.add_argument("--seconds", type=int, default=5, help="length of each test (default: 5)")
    parser.add_argument(
        "--rates", type=int, nargs="+", default=RATES_MBPS, help="rates in Mbit/s (default: 8 100 500 1000)"
    )
    options = parser.parse_args(arguments)
    console = frame.console(200)
    if lacking := requirements.lacking(TOOLS):
        return frame.refuse(PROGRAM, frame.lacks(lacking))
    rows = []
    for enter in (_loopback, kernel_link, joining_link):
        try:
            rows += measure(enter, options.rates, options.runs, options.seconds, console.print)
        except (KernelLinkError, places.NoRoomError, OSError, subprocess.SubprocessError) as error:
            return frame.refuse(PROGRAM, error)
    _print(rows, console)
    return frame.conclude(console, [fault for row in rows for fault in row.faults()])


@contextmanager
def _loopback() -> Iterator[tuple[LoadLine, int]]:
    def here(*command: str) -> tuple[str, ...]:
        return command

    with places.claim(0) as claimed:
        place = LoadLine("loopback", here, here, places.PEER_HOST, claimed.control_port, claimed.page_port)
        yield place, claimed.stamp_port


@contextmanager
def kernel_link() -> Iterator[tuple[LoadLine, int]]:
    """Set up a kernel link on which packets arrive one by one, the most costly case for a receiver."""
    with KernelLink(KernelLinkSettings()) as link:
        yield _place("kernel link", link), STAMP_PORT


@contextmanager
def joining_link() -> Iterator[tuple[LoadLine, int]]:
    """Set up a kernel link whose receiving device joins packets, as drivers of network cards do (GRO)."""
    with KernelLink(KernelLinkSettings()) as link:
        join_arrivals(link)
        yield _place(JOINED, link), STAMP_PORT


def _place(name: str, link: KernelLink) -> LoadLine:
    def at_site(*command: str) -> tuple[str, ...]:
        return link.inside(LinkNode.SITE, *command)

    def at_far(*command: str) -> tuple[str, ...]:
        return link.inside(LinkNode.FAR, *command)

    return LoadLine(name, at_site, at_far, FAR_ADDRESS, CONTROL_PORT, IPERF_PORT)


def measure(
    enter: Callable[[], AbstractContextManager[tuple[LoadLine, int]]],
    rates_mbps: Sequence[int],
    runs: int,
    seconds: int,
    tell: Callable[[str], None],
) -> list[LoadRow]:
    """Measure all rounds on one line.

    Raises KernelLinkError, NoRoomError or OSError where it does not start.
    """
    with ExitStack() as entering:
        place, stamp_port = entering.enter_context(enter())
        folder = Path(entering.enter_context(TemporaryDirectory(prefix="plancher-bench-")))
        secret = secrets.token_hex(16)
        supervisor = entering.enter_context(Supervisor(folder))
        peer = _start_peer(supervisor, folder, place, stamp_port, secret)
        rows = [
            LoadRow(place.name, direction, rate) for rate in rates_mbps for direction in Direction
        ]  # fmt: skip
        for turn in range(runs):
            for row in rows:
                _round(row, place, peer, secret, seconds)
            tell(f"{place.name}: round {turn + 1} of {runs}")
    return rows


def _round(row: LoadRow, place: LoadLine, peer: int, secret: str, seconds: int) -> None:
    # The tests take turns: a disturbance of the machine meets all of them.
    rate = row.rate_mbps * 1e6
    measures: tuple[tuple[list[Cost], Callable[[], Cost]], ...] = (
        (row.ours, lambda: load_tools.ours(place, peer, secret, row.direction, rate, seconds)),
        (row.udp, lambda: load_tools.iperf(place, row.direction, rate, seconds, udp=True)),
        (row.tcp, lambda: load_tools.iperf(place, row.direction, rate, seconds, udp=False)),
    )
    for costs, measure in measures:
        try:
            costs.append(measure())
        except LoadToolError as error:
            row.problems.append(str(error))


def _start_peer(supervisor: Supervisor, folder: Path, place: LoadLine, stamp_port: int, secret: str) -> int:
    settings = {
        "host": place.far_address,
        "keys": [{"id": KEY_ID, "key": secret}],
        "udpstp": {
            "port": place.control_port, "highest_rate": 10**9, "down": 2 * 10**9, "up": 2 * 10**9,
        },
        "stamp": {"port": stamp_port},
    }  # fmt: skip
    path = folder / "peer.yaml"
    path.touch(mode=0o600)
    path.write_text(json.dumps(settings), encoding="ascii")
    command = place.at_far(sys.executable, "-m", "peer", "run", str(path))
    return start_ready(supervisor, ChildProgram("peer", command), "serving")


def _print(rows: Sequence[LoadRow], console: Console) -> None:
    cores = os.cpu_count()
    table = Table(title=f"medians (minimum-maximum); CPU-s/GB: user + system, site + far end; {cores} cores")
    for heading in (
        "line", "", "Mbit/s", "received", "lost %", "drops", "stall %", "ours: CPU-s/GB", "site", "far end",
        "iperf3 -u: CPU-s/GB", "received", "lost %", "iperf3 TCP: CPU-s/GB",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("line", "") else "right")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def _cells(row: LoadRow) -> tuple[str, ...]:
    return (
        row.place,
        row.direction,
        str(row.rate_mbps),
        _spread(row.ours, lambda cost: cost.received_bps / 1e6, 1),
        _spread(row.ours, lambda cost: 100 * cost.loss, 3),
        str(sum(cost.drops for cost in row.ours)),
        _spread(row.ours, lambda cost: 100 * cost.stall, 2),
        _spread(row.ours, lambda cost: cost.per_gb, 2),
        _spread(row.ours, lambda cost: cost.site_per_gb, 2),
        _spread(row.ours, lambda cost: cost.far_per_gb, 2),
        _spread(row.udp, lambda cost: cost.per_gb, 2),
        _spread(row.udp, lambda cost: cost.received_bps / 1e6, 1),
        _spread(row.udp, lambda cost: 100 * cost.loss, 3),
        _spread(row.tcp, lambda cost: cost.per_gb, 2),
    )


def _spread(costs: Sequence[Cost], figure: Callable[[Cost], float], digits: int) -> str:
    values = [figure(cost) for cost in costs]
    if not values:
        return "-"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
