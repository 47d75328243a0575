"""An emulated link between a site and the peer, in user space: relays UDP through two lines, without root."""

import contextlib
import ctypes
import ipaddress
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple

import msgspec

from lab.links.datagrams import RelayedDatagram
from lab.links.endpoints import Endpoints, RelayedClient, SitePort
from lab.links.interface_counters import InterfaceCounters
from lab.links.lateness import Lateness
from lab.links.line import EmulatedLine, EmulatedLineCounters, LineSettings
from lab.links.udpstp_ports import announced_test_port, is_null_request
from wire.ip_layer import IPV4_UDP_BYTES

log = logging.getLogger("lab.links.link")

HOUSEKEEPING = 10**9
# How long datagrams may lie unread (kernel stamps keep their time): the counters' age, and fewer wake-ups.
LONGEST_UNREAD = 2 * 10**6
# A line faster than its reader, or a delay of minutes, must not eat the machine's memory.
MOST_UNDERWAY = 200_000
PR_SET_TIMERSLACK = 29


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """A link: its own loopback address, the peer's address and well-known ports, and a line each way.

    down: towards the site. up: from the site.
    """

    listen: str
    peer: str
    ports: tuple[int, ...]
    down: LineSettings
    up: LineSettings

    def faults(self) -> tuple[str, ...]:
        """Return what makes these settings impossible, in words; empty when they are sound."""
        found = [f"down: {fault}" for fault in self.down.faults()]
        found += [f"up: {fault}" for fault in self.up.faults()]
        if not ipaddress.IPv4Address(self.listen).is_loopback:
            found.append(f"a link listens on loopback only (127.0.0.0/8), not on {self.listen}")
        if self.listen == self.peer:
            found.append(f"the link and the peer cannot both have the address {self.peer}")
        if not self.ports or any(not 0 < port < 65536 for port in self.ports):
            found.append("name the peer's ports, each between 1 and 65535")
        return tuple(found)


class Underway(NamedTuple):
    """A packet inside the link: when it comes out (monotonic ns), and where."""

    at: int
    order: int
    client: RelayedClient
    port: int
    towards_site: bool
    tos: int
    payload: bytes


@dataclass(slots=True)
class OwnLosses:
    """Packets of one direction that the link lost against its settings.

    overflowed: dropped unread by the kernel, because the link read too slowly. unsent: refused by the kernel.
    crowded: refused by the link, because too many were underway.
    """

    overflowed: int = 0
    unsent: int = 0
    crowded: int = 0

    @property
    def total(self) -> int:
        """Packets lost in all."""
        return self.overflowed + self.unsent + self.crowded


@dataclass(slots=True)
class LinkReport:
    """Account of a link: counters of both lines, and the link's own error.

    ``down_lost`` and ``up_lost`` count packets that the settings did not lose. ``stray`` counts datagrams
    from the peer's side that belong to no conversation. ``late_*`` is the release after due time, ns.
    ``cpu_seconds`` is the processor time used in ``seconds`` of running.
    """

    down: EmulatedLineCounters
    up: EmulatedLineCounters
    down_lost: OwnLosses = field(default_factory=OwnLosses)
    up_lost: OwnLosses = field(default_factory=OwnLosses)
    stray: int = 0
    releases: int = 0
    late_p50: int | None = None
    late_p99: int | None = None
    late_largest: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0


def encode_report(report: LinkReport) -> str:
    """Return the report as one line of JSON."""
    return msgspec.json.encode(report).decode()


def decode_report(line: str) -> LinkReport:
    """Read what ``encode_report`` wrote. Raises msgspec.DecodeError for anything else."""
    return msgspec.json.decode(line, type=LinkReport, dec_hook=lambda _, value: Counter(value))


class EmulatedLink:
    """One link; ``run`` relays until ``stop``. Raises OSError when a port of its address is taken."""

    def __init__(self, settings: LinkSettings, counters: InterfaceCounters) -> None:
        self.settings = settings
        self.counters = counters
        self._down, self._up = EmulatedLine(settings.down), EmulatedLine(settings.up)
        self._report = LinkReport(self._down.counters, self._up.counters)
        self._lateness = Lateness()
        self._underway: list[Underway] = []
        self._order = 0
        self._stopping = False
        self._patience = min(settings.down.delay, settings.up.delay, LONGEST_UNREAD)
        self._endpoints = Endpoints(settings.listen, settings.peer, settings.ports, time.monotonic_ns())

    def run(self) -> None:
        """Relay until ``stop`` is called from another thread or a signal handler."""
        sharpen_timers()
        began, began_cpu, housekeeping = time.monotonic(), time.thread_time(), 0
        while not self._stopping:
            self._wait()
            self._release()
            self._collect(self._endpoints.ready())
            self.counters.publish()
            if (now := time.monotonic_ns()) > housekeeping:
                housekeeping = now + HOUSEKEEPING
                self._endpoints.expire(now)
        self._report.seconds += time.monotonic() - began
        self._report.cpu_seconds += time.thread_time() - began_cpu

    def stop(self) -> None:
        """End ``run``; what is underway is lost."""
        self._stopping = True
        self._endpoints.wake()

    def close(self) -> None:
        """Free the ports."""
        self._endpoints.close()

    def report(self) -> LinkReport:
        """Return what happened so far."""
        report, lateness = self._report, self._lateness
        report.down_lost.overflowed = self._endpoints.overflowed(RelayedClient)
        report.up_lost.overflowed = self._endpoints.overflowed(SitePort)
        report.releases, report.late_largest = lateness.count, lateness.largest
        report.late_p50, report.late_p99 = lateness.quantile(0.5), lateness.quantile(0.99)
        return report

    def _wait(self) -> None:
        """Wait until something is to be done."""
        if not self._underway:
            self._endpoints.wait(HOUSEKEEPING)
            return
        due = self._underway[0].at - time.monotonic_ns()
        if due <= 0:
            return
        if self._patience:
            # What arrives during this sleep cannot be due before it ends: no line is faster than its delay.
            time.sleep(min(due, self._patience) / 1e9)
        else:
            self._endpoints.wait(due)

    def _collect(self, ready: list[SitePort | RelayedClient]) -> None:
        """Put what has arrived into the lines, in the order of the kernel's stamps."""
        if not ready:
            return
        arrived = [(datagram, endpoint) for endpoint in ready for datagram in endpoint.receive()]
        arrived.sort(key=lambda pair: pair[0].arrival)
        # Stamps are wall clock. Read again each time, a step of that clock affects one pass only. The
        # monotonic clock is read last: if this program is held up in between, packets are late, never early.
        wall_now = time.time_ns()
        now = time.monotonic_ns()
        wall_ahead = wall_now - now
        for datagram, endpoint in arrived:
            arrival = min(datagram.arrival - wall_ahead, now)
            if isinstance(endpoint, SitePort):
                self._from_site(endpoint, datagram, arrival)
            else:
                self._from_peer(endpoint, datagram, arrival)

    def _from_site(self, site_port: SitePort, datagram: RelayedDatagram, arrival: int) -> None:
        self.counters.from_site(len(datagram.payload) + IPV4_UDP_BYTES)
        site_port.last_used = arrival
        try:
            client = self._endpoints.client(datagram.source, arrival)
        except OSError as error:
            log.warning("ours: no socket towards the peer: %s", error.strerror)
            self._report.up_lost.unsent += 1
            return
        self._enter(self._up, datagram, arrival, client, site_port.port)

    def _from_peer(self, client: RelayedClient, datagram: RelayedDatagram, arrival: int) -> None:
        host, port = datagram.source
        if host != self.settings.peer or not self._knows(port, datagram, arrival):
            self._report.stray += 1
            return
        client.last_used = arrival
        self._enter(self._down, datagram, arrival, client, port)

    def _knows(self, port: int, datagram: RelayedDatagram, now: int) -> bool:
        """Tell whether this port of the peer is one of ours, after learning what this datagram teaches."""
        if port in self.settings.ports and (test_port := announced_test_port(datagram.payload)):
            self._learn(test_port, now)
        elif is_null_request(datagram.payload):
            self._learn(port, now)
        return self._endpoints.site_port(port, now) is not None

    def _learn(self, port: int, now: int) -> None:
        try:
            self._endpoints.learn(port, now)
        except OSError as error:
            log.warning(
                "ours: test port %d cannot be held at %s (%s); this test will not start",
                port,
                self.settings.listen,
                error.strerror,
            )

    def _enter(
        self, line: EmulatedLine, datagram: RelayedDatagram, arrival: int, client: RelayedClient, port: int
    ) -> None:
        if len(self._underway) >= MOST_UNDERWAY:
            self._lost(towards_site=line is self._down).crowded += 1
            return
        payload = datagram.payload
        for release in line.offer(arrival, len(payload) + IPV4_UDP_BYTES, datagram.tos):
            self._order += 1
            packet = Underway(release.at, self._order, client, port, line is self._down, release.tos, payload)
            heappush(self._underway, packet)

    def _release(self) -> None:
        """Send what is due."""
        underway = self._underway
        while underway and underway[0].at <= (now := time.monotonic_ns()):
            packet = heappop(underway)
            self._lateness.add(now - packet.at)
            if not self._send(packet, now):
                self._lost(towards_site=packet.towards_site).unsent += 1

    def _lost(self, *, towards_site: bool) -> OwnLosses:
        return self._report.down_lost if towards_site else self._report.up_lost

    def _send(self, packet: Underway, now: int) -> bool:
        if not packet.towards_site:
            return packet.client.send(packet.payload, packet.tos, (self.settings.peer, packet.port))
        site_port = self._endpoints.site_port(packet.port, now)
        if site_port is None or not site_port.send(packet.payload, packet.tos, packet.client.address):
            return False
        self.counters.towards_site(len(packet.payload) + IPV4_UDP_BYTES)
        return True


def sharpen_timers() -> None:
    """Ask the kernel to end this thread's waits on time instead of up to 50 us later, where it can."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
