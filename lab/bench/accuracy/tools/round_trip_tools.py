"""Three ways to measure round-trip times over a kernel link: our STAMP train, ``ping`` and ``irtt``."""

import asyncio
import json
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from agent.settings import file as agent_settings
from agent.train.stamp_session import Train, TrainResult, run_train
from host.clock import Clock
from lab.bench.accuracy.tools.truth import IRTT_PORT
from lab.netns import inside
from lab.netns.links.link import KernelLink
from lab.netns.names import End
from lab.netns.places import FAR_ADDRESS
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLinkSettings
from lab.programs.supervisor import Program, Supervisor
from lab.testbed.kernel_testbed import KernelStand
from wire.stamp.statistics import round_trip_ns
from wire.stamp.timestamp import ErrorEstimate

TIMEOUT_S = 1.0
START_S = 10.0
_PING_LINE = re.compile(r"icmp_seq=(\d+) .*time=([\d.]+) ms")

RoundTrips = dict[int, int]
"""Ns by the packet's number."""


class ToolStand:
    """A link with our peer and an irtt server at the far end; the tools run at the site."""

    def __init__(self, settings: KernelLinkSettings) -> None:
        self._settings = settings
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            folder = Path(entering.enter_context(TemporaryDirectory(prefix="plancher-bench-")))
            self._stand = entering.enter_context(KernelStand(folder, self._settings))
            supervisor = entering.enter_context(Supervisor(folder))
            self._serve_irtt(supervisor)
            executor = inside.executor(self.link.namespace(End.SITE))
            self._site: ProcessPoolExecutor = entering.enter_context(executor)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    @property
    def link(self) -> KernelLink:
        """What the packets cross."""
        return self._stand.link

    def train(self, count: int, interval_s: float) -> TrainResult:
        """Our own train, by the probe's code, against the real peer. Raises KernelLinkError if none came."""
        sent = self._site.submit(_train, self._stand.agent_file, count, interval_s)
        result: TrainResult = sent.result()
        if result.failure is not None or not result.statistics.received:
            raise KernelLinkError(f"the train gave nothing: {result.failure} {result.detail}")
        return result

    def stamp(self, count: int, interval_s: float) -> RoundTrips:
        """Round trips by our own train."""
        return stamp_round_trips(self.train(count, interval_s))

    def ping(self, count: int, interval_s: float) -> RoundTrips:
        """Round trips as ``ping`` prints them."""
        return ping_round_trips(self._run("ping", "-c", str(count), "-i", f"{interval_s:g}", FAR_ADDRESS))

    def irtt(self, count: int, interval_s: float) -> RoundTrips:
        """Round trips by ``irtt``, without the server's processing time."""
        return irtt_round_trips(self.irtt_output(count, interval_s))

    def irtt_output(self, count: int, interval_s: float) -> str:
        """What ``irtt`` says as JSON."""
        times = ("-i", f"{interval_s * 1e3:g}ms", "-d", f"{count * interval_s * 1e3:g}ms", "--wait=300ms")
        return self._run("irtt", "client", *times, "-Q", "-o", "-", _irtt_server())

    def _run(self, *command: str) -> str:
        ended = subprocess.run(  # noqa: S603 -- our own arguments, no shell
            self.link.inside(End.SITE, *command), capture_output=True, text=True, timeout=120
        )
        if ended.returncode:
            raise KernelLinkError(f"{command[0]}: {ended.stderr.strip() or ended.stdout.strip()}")
        return ended.stdout

    def _serve_irtt(self, supervisor: Supervisor) -> None:
        command = self.link.inside(End.FAR, "irtt", "server", "-i", "1ms", "-b", _irtt_server())
        supervisor.start(Program("irtt", command))
        log = supervisor.log_of("irtt")
        if supervisor.wait_until(lambda: "starting IPv4" in log.read_text(), START_S) is not True:
            raise KernelLinkError(f"irtt did not come up: {log.read_text()}")


Tool = Callable[[ToolStand, int, float], RoundTrips]


def stamp_round_trips(result: TrainResult) -> RoundTrips:
    """Each packet's, from the same stamps as the statistics of a record."""
    replied = ((one, one.arrival) for one in result.exchanges)
    return {one.sequence: round_trip_ns(one, reply) for one, reply in replied if reply is not None}


def ping_round_trips(output: str) -> RoundTrips:
    """What ``ping`` printed a line a packet."""
    return {int(number): round(float(ms) * 1e6) for number, ms in _PING_LINE.findall(output)}


def irtt_round_trips(output: str) -> RoundTrips:
    """What ``irtt`` wrote as JSON; a lost packet has no delay there."""
    trips = json.loads(output)["round_trips"]
    return {trip["seqno"]: trip["delay"]["rtt"] for trip in trips if "rtt" in trip["delay"]}


def _train(agent_file: Path, count: int, interval_s: float) -> TrainResult:
    settings = agent_settings.load(agent_file)
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
