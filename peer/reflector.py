"""Socket of the STAMP Session-Reflector, with the kernel's timestamps of requests and replies.

A reply carries the time read just before its sending (T3). The kernel's timestamp of its transmission arrives
only afterwards, and the next reply of the session reports it (RFC 8972 section 4.7).

``wire.stamp.reflector`` decides which requests are answered, and how. Where many wait, those of known
sessions go first: a flood of others must not look like loss of the line.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from net import load, timestamps
from net.timestamps import Datagram, StampSource
from peer.refusals import Refusals
from wire.stamp import reflector
from wire.stamp.reflector import Drop, Reflection, ReflectorSettings, RequestArrival
from wire.stamp.timestamp import ErrorEstimate

_LOG = logging.getLogger(__name__)
_KERNEL_DROPS = "dropped-by-kernel"
_DATAGRAMS_A_TURN = 64  # then the event loop serves others
# Reading the state of the clock is a system call (adjtimex): not one for each packet.
_ESTIMATE_LASTS_S = 1.0
_UNSTAMPED_REPLIES = 256
_MASK_32 = 0xFFFF_FFFF
_ancillary = lru_cache(maxsize=256)(timestamps.ancillary_of)  # of a few classes and addresses of our own


class StampReflector:
    """Reflects STAMP on one UDP address and port; ``port`` 0 takes a free one.

    ``estimate`` gives the Error Estimate of the wall clock (RFC 8762 section 4.2.1), at most once a second.
    ``counters`` adds two to those of the core: ``unsent`` replies, and ``user_stamped`` packets without a
    receive timestamp of the kernel. ``receive_buffer`` is its bytes as the kernel counts them.
    """

    def __init__(
        self,
        address: str,
        port: int,
        settings: ReflectorSettings,
        estimate: Callable[[], ErrorEstimate],
    ) -> None:
        self._address = address
        self._asked_port = self._port = port
        self._core = reflector.SessionReflector(settings)
        self._read_estimate = estimate
        self._estimate = ErrorEstimate()
        self._estimate_until = 0.0
        self._wildcard = ip_address(address).is_unspecified
        self._socket: socket.socket | None = None
        # Replies that still wait for their transmit timestamp, by the kernel's number.
        self._unstamped: dict[int, Reflection] = {}
        self._next_number = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self.receive_buffer = 0
        self._refusals = Refusals("STAMP packets")
        self._noted: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """Port served; before ``start`` the one asked for."""
        return self._port

    @property
    def serving(self) -> bool:
        """True while its port is open."""
        return self._socket is not None

    @property
    def counters(self) -> Counter[str]:
        """Counters of packets and sessions since the start."""
        return self._core.counters

    @property
    def sessions(self) -> int:
        """Number of sessions kept."""
        return self._core.sessions

    def log_refusals(self) -> None:
        """Log what was not answered, if a line is due; to be called now and then."""
        if self._socket is not None:
            self.counters[_KERNEL_DROPS] = load.receive_drops(self._socket)
        for reason in (*Drop, _KERNEL_DROPS):
            # A new socket counts its drops from 0 on.
            if (more := self.counters[reason] - self._noted[reason]) > 0:
                self._refusals.note(reason, count=more)
            self._noted[reason] = self.counters[reason]
        if line := self._refusals.line(time.monotonic_ns()):
            _LOG.warning("%s", line)

    def take(self, settings: ReflectorSettings) -> None:
        """Use other settings from now on."""
        self._core.take(settings)

    async def start(self) -> None:
        """Start to answer. Raises OSError if the address and port are not available."""
        over_ipv6 = ip_address(self._address).version == 6
        opened = socket.socket(socket.AF_INET6 if over_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            if over_ipv6:
                # Otherwise IPv4 requests would arrive with mapped addresses.
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            timestamps.enable(opened, transmit=True)
            # 255, as is usual with TWAMP: what is left of it tells the number of routers on the return path.
            timestamps.set_ttl(opened, 255)
            opened.bind((self._address, self._asked_port))
        except OSError:
            opened.close()
            raise
        self.receive_buffer = load.enlarge_receive_buffer(opened)
        self._port = int(opened.getsockname()[1])
        self._socket, self._loop = opened, asyncio.get_running_loop()
        self._loop.add_reader(opened, self._serve, opened)

    def close(self) -> None:
        """Stop to answer and close the port; harmless when not started."""
        if self._socket is None or self._loop is None:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket, self._port = None, self._asked_port
        # Numbers begin anew with the next socket: older entries would take its stamps.
        self._unstamped.clear()
        self._next_number = 0

    def _serve(self, sock: socket.socket) -> None:
        strangers: list[Datagram] = []
        for turn in range(_DATAGRAMS_A_TURN):
            try:
                datagram = timestamps.receive(sock)
            except OSError:
                # An ICMP error for an earlier reply says nothing about the next packet.
                continue
            if datagram is None:
                if not turn:
                    # The reader was called for timestamps that were not ready when their reply was sent.
                    self._take_transmit_stamps(sock)
                break
            if self._core.knows(datagram.payload, datagram.address[:2], self._destination(datagram)):
                self._answer(sock, datagram)
            else:
                strangers.append(datagram)
        for datagram in strangers:
            self._answer(sock, datagram)

    def _destination(self, datagram: Datagram) -> tuple[str, int]:
        return datagram.headers.destination or self._address, self.port

    def _answer(self, sock: socket.socket, datagram: Datagram) -> None:
        headers = datagram.headers
        if headers.source is StampSource.USER:
            self.counters["user_stamped"] += 1
        destination = self._destination(datagram)
        arrival = RequestArrival(
            received_ns=headers.received_ns,
            source=datagram.address[:2],
            destination=destination,
            dscp_ecn=headers.dscp_ecn,
            ttl=headers.ttl,
        )
        reflection = self._core.receive(datagram.payload, arrival, self._clock_estimate())
        if not isinstance(reflection, Reflection):
            return
        # Bound to one address, the kernel takes that one as the source anyway.
        source = destination[0] if self._wildcard else None
        ancillary = _ancillary(sock.family, reflection.dscp_ecn, source)
        if not reflection.follow_up:
            # The first encoding only warms the processor's caches: without it, T3 would be 5 us too early.
            reflection.encode(time.time_ns())
        try:
            # The time between T3 and the wire is part of the round trip, unless the next reply reports the
            # kernel's timestamp.
            sock.sendmsg((reflection.encode(time.time_ns()),), ancillary, 0, datagram.address)
        except OSError:
            self.counters["unsent"] += 1
            self._restart_numbering(sock)
        else:
            self._sent(sock, reflection)

    def _sent(self, sock: socket.socket, reflection: Reflection) -> None:
        if reflection.follow_up:
            self._unstamped[self._next_number] = reflection
        self._next_number = self._next_number + 1 & _MASK_32
        if len(self._unstamped) > _UNSTAMPED_REPLIES:
            # A timestamp may never arrive: a queue drops the packet, or the device makes none.
            del self._unstamped[next(iter(self._unstamped))]
        # Mostly the timestamp is ready by now, and reading it here saves a turn of the event loop.
        self._take_transmit_stamps(sock, 1)

    def _take_transmit_stamps(self, sock: socket.socket, limit: int = _UNSTAMPED_REPLIES) -> None:
        for number, sent_ns in timestamps.transmit_stamps(sock, limit):
            reflection = self._unstamped.pop(number, None)
            if reflection is not None:
                self._core.transmitted(reflection, sent_ns)

    def _restart_numbering(self, sock: socket.socket) -> None:
        """Restart the kernel's numbering: a failed send may or may not have used a number."""
        self._take_transmit_stamps(sock)
        timestamps.restart_numbering(sock)
        self._unstamped.clear()
        self._next_number = 0

    def _clock_estimate(self) -> ErrorEstimate:
        now = time.monotonic()
        if now >= self._estimate_until:
            self._estimate, self._estimate_until = self._read_estimate(), now + _ESTIMATE_LASTS_S
        return self._estimate
