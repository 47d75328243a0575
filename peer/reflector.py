"""The socket of the STAMP Session-StampReflector: kernel stamps of requests and of replies.

A reply carries its own sending time as late-stamped as can be; the kernel's stamp of its leaving comes only
afterwards, for the next reply to tell.

What is answered, and how, is decided in ``wire.stamp.reflector``.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address

from net import timestamps
from net.timestamps import Datagram, StampSource
from wire.stamp import reflector
from wire.stamp.reflector import Reflection, ReflectorSettings, RequestArrival
from wire.stamp.timestamp import ErrorEstimate

_DATAGRAMS_A_TURN = 64  # then the event loop serves others
_ESTIMATE_LASTS_S = 1.0
_UNSTAMPED_REPLIES = 256
_MASK_32 = 0xFFFF_FFFF
_ancillary = lru_cache(maxsize=256)(timestamps.ancillary_of)  # of a few classes and addresses of our own


class StampReflector:
    """Serves STAMP on one UDP address and port.

    ``address`` is an IP address, ``port`` 0 takes a free one. ``estimate`` tells what the wall clock's
    stamps are worth; it is asked at most once a second. ``counters`` add to those of the core:
    ``unsent`` replies, and ``user_stamped`` packets, those whose receive stamp the kernel did not give.
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
        # Replies whose transmit stamp has not come, by the kernel's number.
        self._unstamped: dict[int, Reflection] = {}
        self._next_number = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def port(self) -> int:
        """The port served; what was asked for before ``start``."""
        return self._port

    @property
    def serving(self) -> bool:
        """Whether its port is open and listened to."""
        return self._socket is not None

    @property
    def counters(self) -> Counter[str]:
        """Packets and sessions since the beginning."""
        return self._core.counters

    @property
    def sessions(self) -> int:
        """How many sessions are remembered."""
        return self._core.sessions

    def take(self, settings: ReflectorSettings) -> None:
        """Answer by other settings from now on."""
        self._core.take(settings)

    async def start(self) -> None:
        """Begin to answer. Raises OSError where the address and port cannot be had."""
        over_ipv6 = ip_address(self._address).version == 6
        opened = socket.socket(socket.AF_INET6 if over_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            if over_ipv6:
                opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            timestamps.enable(opened, transmit=True)
            timestamps.set_ttl(opened, 255)
            opened.bind((self._address, self._asked_port))
        except OSError:
            opened.close()
            raise
        self._port = int(opened.getsockname()[1])
        self._socket, self._loop = opened, asyncio.get_running_loop()
        self._loop.add_reader(opened, self._serve, opened)

    def close(self) -> None:
        """Stop answering and give the port back; harmless when not started."""
        if self._socket is None or self._loop is None:
            return
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self._socket, self._port = None, self._asked_port
        self._unstamped.clear()
        self._next_number = 0

    def _serve(self, sock: socket.socket) -> None:
        for turn in range(_DATAGRAMS_A_TURN):
            try:
                datagram = timestamps.receive(sock)
            except OSError:
                # An ICMP error for an earlier reply; it concerns nobody's next packet.
                continue
            if datagram is None:
                if not turn:
                    # Called for stamps that came later than their reply was handed over.
                    self._take_transmit_stamps(sock)
                return
            self._answer(sock, datagram)

    def _answer(self, sock: socket.socket, datagram: Datagram) -> None:
        headers = datagram.headers
        if headers.source is StampSource.USER:
            self.counters["user_stamped"] += 1
        destination = headers.destination or self._address
        arrival = RequestArrival(
            received_ns=headers.received_ns,
            source=datagram.address[:2],
            destination=(destination, self.port),
            dscp_ecn=headers.dscp_ecn,
            ttl=headers.ttl,
        )
        reflection = self._core.receive(datagram.payload, arrival, self._clock_estimate())
        if not isinstance(reflection, Reflection):
            return
        source = destination if self._wildcard else None
        ancillary = _ancillary(sock.family, reflection.dscp_ecn, source)
        if not reflection.follow_up:
            # Once for the processor's caches alone: code that has not run for a while takes 5 us longer.
            reflection.encode(time.time_ns())
        try:
            # Whatever comes between this stamp (T3) and the wire stands in the round trip, where the next
            # reply does not tell of the kernel's.
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
            # A stamp need not come: a queue may drop what it had taken, or the device give none.
            del self._unstamped[next(iter(self._unstamped))]
        # Mostly it is there by now, and taking it here saves a turn of the event loop.
        self._take_transmit_stamps(sock, 1)

    def _take_transmit_stamps(self, sock: socket.socket, limit: int = _UNSTAMPED_REPLIES) -> None:
        for number, sent_ns in timestamps.transmit_stamps(sock, limit):
            reflection = self._unstamped.pop(number, None)
            if reflection is not None:
                self._core.transmitted(reflection, sent_ns)

    def _restart_numbering(self, sock: socket.socket) -> None:
        """A failed send may or may not have used up a number."""
        self._take_transmit_stamps(sock)
        timestamps.restart_numbering(sock)
        self._unstamped.clear()
        self._next_number = 0

    def _clock_estimate(self) -> ErrorEstimate:
        now = time.monotonic()
        if now >= self._estimate_until:
            self._estimate, self._estimate_until = self._read_estimate(), now + _ESTIMATE_LASTS_S
        return self._estimate
