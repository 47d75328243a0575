"""Three ways to measure round-trip times over a kernel link: our STAMP train, ``ping`` and ``irtt``."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from agent import configuration
from agent.settings import file as agent_settings
from agent.train.stamp_session import Train, TrainResult, run_train
from host.clock import Clock
from lab.bench.accuracy.tools.truth import IRTT_PORT
from lab.netns.names import LinkNode
from lab.netns.places import FAR_ADDRESS
from lab.netns.requirements import KernelLinkError
from lab.testbed.line_testbed import ServedTestbed
from wire.stamp.statistics import round_trip_ns
from wire.stamp.timestamp import ErrorEstimate

TIMEOUT_S = 1.0

_PING_LINE = re.compile(r"icmp_seq=(\d+) .*time=([\d.]+) ms")

# Round-trip time in ns by packet number.
RoundTrips = dict[int, int]


class ToolTestbed(ServedTestbed):
    """Kernel testbed with an irtt server; the tools run at the site."""

    def server(self) -> tuple[tuple[str, ...], str]:
        """Return the command line of irtt's server."""
        return ("irtt", "server", "-i", "1ms", "-b", _irtt_server()), "starting IPv4"

    def train(self, count: int, interval_s: float) -> TrainResult:
        """Send our own train against the real peer. Raises KernelLinkError if no reply arrived."""
        sent = self._testbed.site.submit(_train, self._testbed.agent_file, count, interval_s)
        result: TrainResult = sent.result()
        if result.failure is not None or not result.statistics.received:
            raise KernelLinkError(f"the STAMP train received no reply: {result.failure} {result.detail}")
        return result

    def stamp(self, count: int, interval_s: float) -> RoundTrips:
        """Measure round trips by our own train."""
        return stamp_round_trips(self.train(count, interval_s))

    def ping(self, count: int, interval_s: float) -> RoundTrips:
        """Measure round trips by ``ping``."""
        return ping_round_trips(self._run("ping", "-c", str(count), "-i", f"{interval_s:g}", FAR_ADDRESS))

    def irtt(self, count: int, interval_s: float) -> RoundTrips:
        """Measure round trips by ``irtt``, without the server's processing time."""
        return irtt_round_trips(self.irtt_output(count, interval_s))

    def irtt_output(self, count: int, interval_s: float) -> str:
        """Return the JSON that ``irtt`` prints."""
        times = ("-i", f"{interval_s * 1e3:g}ms", "-d", f"{count * interval_s * 1e3:g}ms", "--wait=300ms")
        return self._run("irtt", "client", *times, "-Q", "-o", "-", _irtt_server())

    def _run(self, *command: str) -> str:
        ended = subprocess.run(  # noqa: S603 -- our own arguments, no shell
            self.link.inside(LinkNode.SITE, *command), capture_output=True, text=True, timeout=120
        )
        if ended.returncode:
            raise KernelLinkError(f"{command[0]}: {ended.stderr.strip() or ended.stdout.strip()}")
        return ended.stdout


Tool = Callable[[ToolTestbed, int, float], RoundTrips]


def stamp_round_trips(result: TrainResult) -> RoundTrips:
    """Return each packet's round trip, from the time stamps that the statistics of a record use."""
    replied = ((one, one.arrival) for one in result.exchanges)
    return {one.sequence: round_trip_ns(one, reply) for one, reply in replied if reply is not None}


def ping_round_trips(output: str) -> RoundTrips:
    """Read round trips from the lines that ``ping`` prints for each packet."""
    return {int(number): round(float(ms) * 1e6) for number, ms in _PING_LINE.findall(output)}


def irtt_round_trips(output: str) -> RoundTrips:
    """Read round trips from the JSON of ``irtt``; a lost packet has no delay there."""
    trips = json.loads(output)["round_trips"]
    return {trip["seqno"]: trip["delay"]["rtt"] for trip in trips if "rtt" in trip["delay"]}


def _train(agent_file: Path, count: int, interval_s: float) -> TrainResult:
    settings = configuration.load(agent_file)
    clock = Clock().read
    train = Train(
        host=settings.peer.host,
        port=settings.peer.stamp_port,
        count=count,
        interval_s=interval_s,
        timeout_s=TIMEOUT_S,
        key=agent_settings.peer_key(settings.peer),
    )
    return asyncio.run(run_train(train, lambda: ErrorEstimate.of_clock(clock())))


def _irtt_server() -> str:
    return f"{FAR_ADDRESS}:{IRTT_PORT}"
