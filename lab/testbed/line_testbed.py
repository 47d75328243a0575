"""A kernel link with our peer and an iperf3 server behind it: our verdicts, and iperf3's TCP and UDP."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from agent.task.task import Reading
from lab.netns.links.link import KernelLink, tool
from lab.netns.names import End
from lab.netns.places import FAR_ADDRESS
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.programs import tether
from lab.programs.supervisor import Program, Supervisor
from lab.testbed.kernel_testbed import FLOOR_BPS, KernelStand
from wire.records import Direction

TCP_PAYLOAD, IP_PACKET = 1448, 1500
TO_IP_LAYER = IP_PACKET / TCP_PAYLOAD
"""From TCP goodput to the rate of full packets with time stamps, as a user of iperf3 would convert it."""

QUEUE_DIVISOR = 80
"""Of the rate: a queue of 100 ms, in bytes."""

UDP_PAYLOAD, UDP_PACKET = 1448, 1476
"""What fits the TCP connection that iperf3 takes the path MTU from."""

TRIES = 3
START_S, SLACK_S, LONGEST_CROSS_S = 10.0, 20.0, 900
SIGN_BYTES = 100_000


class ToolError(Exception):
    """iperf3 did not do what it was started for; the text says what it said."""


def shaped(rate_mbps: float, loss: float = 0.0, burst: int = 0) -> KernelLinkSettings:
    """Both directions of a line with a queue of 100 ms; Mbit/s at the IP layer."""
    rate = round(rate_mbps * 1e6)
    line = KernelLineSettings(rate=rate, queue=rate // QUEUE_DIVISOR, loss=loss, burst=burst)
    return KernelLinkSettings(line, line)


def policed(rate_mbps: float) -> KernelLinkSettings:
    """Both directions of a line that drops what exceeds its rate."""
    line = KernelLineSettings(rate=round(rate_mbps * 1e6), policer=True)
    return KernelLinkSettings(line, line)


class LineStand:
    """Everything is gone after the block. Raises KernelLinkError on entering when it does not come up."""

    def __init__(self, settings: KernelLinkSettings) -> None:
        self._settings = settings
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            folder = Path(entering.enter_context(TemporaryDirectory(prefix="plancher-bench-")))
            self._stand = entering.enter_context(KernelStand(folder, self._settings))
            supervisor = entering.enter_context(Supervisor(folder))
            self._serve_iperf(supervisor)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    @property
    def link(self) -> KernelLink:
        """What the packets cross."""
        return self._stand.link

    @property
    def agent_file(self) -> Path:
        """Settings with which an agent measures inside the site."""
        return self._stand.agent_file

    def delivered(self, *directions: Direction) -> int:
        """IP-layer bytes that the line has carried so far, both ways unless told which."""
        return sum(self.link.counters(way).delivered_bytes for way in directions or Direction)

    def processes(self, end: End) -> list[int]:
        """The ids of all processes inside one end."""
        return [int(one) for one in tool("ip", "netns", "pids", self.link.namespace(end)).split()]

    def verdict(self, direction: Direction, *, visible: bool = True, pre_drain: bool = False) -> Reading:
        """The floor probe's reading, by day; see ``KernelStand.verdict``."""
        return asyncio.run(self._stand.verdict(direction, FLOOR_BPS, visible=visible, pre_drain=pre_drain))

    def goodput_bps(self, direction: Direction, congestion: str, seconds: int) -> float:
        """What iperf3 says its receiver got of one TCP connection, payload. Raises ToolError."""
        options = ("-t", str(seconds), "-C", congestion)
        for _ in range(TRIES):
            told = self._iperf(direction, *options, within_s=seconds + SLACK_S)
            if "error" not in told:
                return float(told["end"]["sum_received"]["bits_per_second"])
        raise ToolError(f"iperf3: {told['error']}")

    @contextlib.contextmanager
    def cross(self, direction: Direction, rate_bps: float, *, udp: bool) -> Iterator[None]:
        """Other traffic of the site, at an IP-layer rate as far as the line lets it. Raises ToolError."""
        share = UDP_PAYLOAD / UDP_PACKET if udp else 1 / TO_IP_LAYER
        options = ("-u", "-l", str(UDP_PAYLOAD)) if udp else ()
        length = ("-b", str(round(rate_bps * share)), "-t", str(LONGEST_CROSS_S))
        command = self._client(direction, *length, *options)
        # It would otherwise outlive a benchmark that is killed.
        tied = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command)
        before = self.delivered(direction)
        with subprocess.Popen(tied, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:  # noqa: S603
            try:
                self._await_flow(client, direction, before)
                yield
                if client.poll() is not None:
                    raise ToolError(f"iperf3 ended early (status {client.returncode})")
            finally:
                client.terminate()

    def _await_flow(self, client: "subprocess.Popen[bytes]", direction: Direction, before: int) -> None:
        limit = time.monotonic() + START_S
        while self.delivered(direction) < before + SIGN_BYTES:
            if client.poll() is not None or time.monotonic() > limit:
                raise ToolError("iperf3's traffic does not flow")
            time.sleep(0.05)

    def _client(self, direction: Direction, *options: str) -> tuple[str, ...]:
        backwards = ("-R",) if direction is Direction.DOWN else ()
        return self.link.inside(End.SITE, "iperf3", "-c", FAR_ADDRESS, *options, *backwards)

    def _iperf(self, direction: Direction, *options: str, within_s: float) -> dict[str, Any]:
        command = self._client(direction, *options, "-J")
        try:
            ended = subprocess.run(  # noqa: S603 -- our own command, no shell
                command, capture_output=True, text=True, timeout=within_s
            )
            told: dict[str, Any] = json.loads(ended.stdout)
        except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
            return {"error": str(error)}
        return told

    def _serve_iperf(self, supervisor: Supervisor) -> None:
        supervisor.start(Program("iperf3", self.link.inside(End.FAR, "iperf3", "-s", "--forceflush")))
        log = supervisor.log_of("iperf3")
        if supervisor.wait_until(lambda: "listening" in log.read_text(), START_S) is not True:
            raise KernelLinkError(f"iperf3 did not come up: {log.read_text()}")
