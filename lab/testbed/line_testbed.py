"""Testbed of a kernel link with our peer and an iperf3 server: our verdicts beside iperf3's."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from agent.task.task import Reading
from lab.netns.links.link import KernelLink, tool
from lab.netns.names import LinkNode
from lab.netns.places import FAR_ADDRESS
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.programs import tether
from lab.programs.supervisor import ChildProgram, Supervisor
from lab.testbed.kernel_testbed import FLOOR_BPS, KernelTestbed
from lab.testbed.start import start_ready
from wire.records import Direction

TCP_PAYLOAD, IP_PACKET = 1448, 1500
# Factor from TCP goodput to the IP-layer rate: full packets of 1500 bytes carry 1448 bytes with TCP time
# stamps. A user of iperf3 would convert in the same way.
TO_IP_LAYER = IP_PACKET / TCP_PAYLOAD

# A queue of 100 ms in bytes is the rate in bit/s divided by this.
QUEUE_DIVISOR = 80

# The payload fits the TCP connection from which iperf3 takes the path MTU.
UDP_PAYLOAD, UDP_PACKET = 1448, 1476

# iperf3's server takes one client at a time, and may still be ending the one before.
TRIES = 3
START_S, SLACK_S, LONGEST_CROSS_S = 10.0, 20.0, 900
# More than a handshake: the flow is really there.
SIGN_BYTES = 100_000


class IperfError(Exception):
    """iperf3 failed; the text is its own message."""


def shaped(rate_mbps: float, loss: float = 0.0, burst: int = 0) -> KernelLinkSettings:
    """Return settings of a line with a queue of 100 ms in both directions. Rates are IP-layer Mbit/s."""
    rate = round(rate_mbps * 1e6)
    line = KernelLineSettings(rate=rate, queue=rate // QUEUE_DIVISOR, loss=loss, burst=burst)
    return KernelLinkSettings(line, line)


def policed(rate_mbps: float) -> KernelLinkSettings:
    """Return settings of a line that drops what exceeds its rate, in both directions."""
    line = KernelLineSettings(rate=round(rate_mbps * 1e6), policer=True)
    return KernelLinkSettings(line, line)


class ServedTestbed(ABC):
    """Kernel testbed in a temporary folder, with one more server at the far end.

    Raises KernelLinkError on entering when link, peer or server do not start.
    """

    def __init__(self, settings: KernelLinkSettings) -> None:
        self._settings = settings
        self._leaving = ExitStack()

    @abstractmethod
    def server(self) -> tuple[tuple[str, ...], str]:
        """Return the server's command line at the far end, and the words that show it is ready."""

    def __enter__(self) -> Self:
        with ExitStack() as entering:
            folder = Path(entering.enter_context(TemporaryDirectory(prefix="plancher-bench-")))
            self._testbed = entering.enter_context(KernelTestbed(folder, self._settings))
            supervisor = entering.enter_context(Supervisor(folder))
            command, sign = self.server()
            start_ready(supervisor, ChildProgram(command[0], self.link.inside(LinkNode.FAR, *command)), sign)
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    @property
    def link(self) -> KernelLink:
        """Kernel link between site and peer."""
        return self._testbed.link


class LineTestbed(ServedTestbed):
    """Kernel testbed with an iperf3 server."""

    def server(self) -> tuple[tuple[str, ...], str]:
        """Return the command line of iperf3's server."""
        return ("iperf3", "-s", "--forceflush"), "listening"

    @property
    def agent_file(self) -> Path:
        """Settings with which an agent measures at the site."""
        return self._testbed.agent_file

    def delivered(self, *directions: Direction) -> int:
        """Return the IP-layer bytes that the line has delivered so far, by default in both directions."""
        return sum(self.link.counters(way).delivered_bytes for way in directions or Direction)

    def processes(self, end: LinkNode) -> list[int]:
        """Return the ids of all processes in one namespace."""
        return [int(one) for one in tool("ip", "netns", "pids", self.link.namespace(end)).split()]

    def verdict(self, direction: Direction, *, visible: bool = True, pre_drain: bool = False) -> Reading:
        """Return the floor probe's reading outside its quiet hours; see ``KernelTestbed.verdict``."""
        return asyncio.run(self._testbed.verdict(direction, FLOOR_BPS, visible=visible, pre_drain=pre_drain))

    def goodput_bps(self, direction: Direction, congestion: str, seconds: int) -> float:
        """Return the received payload rate of one TCP connection by iperf3. Raises IperfError."""
        options = ("-t", str(seconds), "-C", congestion)
        for _ in range(TRIES):
            report = self._iperf(direction, *options, within_s=seconds + SLACK_S)
            if "error" not in report:
                return float(report["end"]["sum_received"]["bits_per_second"])
        raise IperfError(f"iperf3: {report['error']}")

    @contextlib.contextmanager
    def cross(self, direction: Direction, rate_bps: float, *, udp: bool) -> Iterator[None]:
        """Send other traffic of the site at an IP-layer rate, as far as the line carries it.

        Raises IperfError.
        """
        share = UDP_PAYLOAD / UDP_PACKET if udp else 1 / TO_IP_LAYER
        options = ("-u", "-l", str(UDP_PAYLOAD)) if udp else ()
        length = ("-b", str(round(rate_bps * share)), "-t", str(LONGEST_CROSS_S))
        command = self._client(direction, *length, *options)
        # Without the tether iperf3 would outlive a benchmark that is killed.
        tied = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *command)
        before = self.delivered(direction)
        with subprocess.Popen(tied, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:  # noqa: S603
            try:
                self._await_flow(client, direction, before)
                yield
                if client.poll() is not None:
                    raise IperfError(f"iperf3 ended early (status {client.returncode})")
            finally:
                client.terminate()

    def _await_flow(self, client: "subprocess.Popen[bytes]", direction: Direction, before: int) -> None:
        limit = time.monotonic() + START_S
        while self.delivered(direction) < before + SIGN_BYTES:
            if client.poll() is not None or time.monotonic() > limit:
                raise IperfError(f"iperf3 delivered no traffic within {START_S:g} s")
            time.sleep(0.05)

    def _client(self, direction: Direction, *options: str) -> tuple[str, ...]:
        backwards = ("-R",) if direction is Direction.DOWN else ()
        return self.link.inside(LinkNode.SITE, "iperf3", "-c", FAR_ADDRESS, *options, *backwards)

    def _iperf(self, direction: Direction, *options: str, within_s: float) -> dict[str, Any]:
        command = self._client(direction, *options, "-J")
        try:
            ended = subprocess.run(  # noqa: S603 -- our own command, no shell
                command, capture_output=True, text=True, timeout=within_s
            )
            report: dict[str, Any] = json.loads(ended.stdout)
        except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
            return {"error": str(error)}
        return report
