"""STAMP train over a real socket: the shell of the Session-Sender (RFC 8762 section 4.2).

``wire.stamp`` decides what is in the packets and what the replies say.
"""

import asyncio
import contextlib
import errno
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

from msgspec import Struct

from agent.settings.sections import ReflectorKind
from net import timestamps
from net.timestamps import Address, Datagram, StampSource
from wire.ip_layer import IPV4_UDP_BYTES, IPV6_UDP_BYTES
from wire.records import Failure
from wire.stamp.sender import Exchange, ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.statistics import TrainStatistics, train_statistics
from wire.stamp.timestamp import ErrorEstimate

_IP_AND_UDP_BYTES: dict[int, int] = {socket.AF_INET: IPV4_UDP_BYTES, socket.AF_INET6: IPV6_UDP_BYTES}
_DATAGRAMS_A_TURN = 64  # then the event loop serves others
_SENT_TTL = 255
_REFUSALS_ENOUGH = 3  # a peer that is being restarted refuses one or two
_CLOSING_S = 1.0  # at most: the closing packet improves the figure of the last packet only
_SEND_FAILURES = {
    errno.EAGAIN: Failure.SEND_BLOCKED,
    errno.ENOBUFS: Failure.SEND_BLOCKED,
    errno.EPERM: Failure.CONFIGURATION,  # a local firewall
    errno.EACCES: Failure.CONFIGURATION,
    errno.EMSGSIZE: Failure.CONFIGURATION,
}


class Train(Struct, frozen=True):
    """Plan of a train: ``count`` packets to a peer, one every ``interval_s`` seconds, in one DSCP class.

    A reply counts within ``timeout_s`` of its packet. ``key`` None is the unauthenticated mode.
    ``class_of_service`` requests the same DSCP on the reply (RFC 8972 section 4.4). ``follow_up`` requests
    the replies' true sending times (section 4.7). A peer that knows them gets one closing packet more, which
    counts in the bytes only. ``payload_bytes`` pads the UDP payload. A ``stateful`` reflector counts its own
    packets; without that there is no loss per direction.
    """

    host: str
    port: int
    count: int
    interval_s: float
    timeout_s: float
    dscp: int = 0
    key: bytes | None = None
    class_of_service: bool = True
    follow_up: bool = True
    payload_bytes: int = 0
    twamp_light: bool = False
    stateful: bool = True

    def __repr__(self) -> str:
        # Without the key, which a traceback would show.
        return f"Train({self.host!r}, {self.port})"


def of_reflector(kind: ReflectorKind) -> dict[str, Any]:
    """Fields of a train for a reflector of this kind."""
    return {"twamp_light": kind is ReflectorKind.TWAMP_LIGHT, "stateful": kind is ReflectorKind.STATEFUL}


class TrainResult(Struct, frozen=True):
    """Result of a train.

    ``session`` is the SSID, four hex digits. ``received`` counts incoming datagrams by ``ReplyVerdict``.
    ``unsent`` packets could not be given to the network and are in no statistic; ``send_failure`` says why.
    ``refused`` means that an ICMP message reported a closed port of the peer. A train of such refusals alone
    ends after a few packets. ``clock_step_us`` is the largest step of the wall clock during the train.
    ``worst_lateness_us`` is the longest delay of a packet behind its plan. Bytes are at the IP layer.
    ``failure`` is set where sending could not begin. ``exchanges`` has each packet and its reply, the raw
    series behind the statistics.
    """

    statistics: TrainStatistics
    session: str
    received: Counter[ReplyVerdict]
    unsent: int = 0
    send_failure: Failure | None = None
    refused: bool = False
    clock_step_us: int = 0
    worst_lateness_us: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    failure: Failure | None = None
    detail: str = ""
    exchanges: Sequence[Exchange] = ()


async def run_train(
    train: Train,
    estimate: Callable[[], ErrorEstimate],
    enough: asyncio.Event | None = None,
    on_reply: Callable[[], None] | None = None,
) -> TrainResult:
    """Send the train and wait for its replies, at most ``timeout_s`` after the last packet.

    ``estimate`` gives the Error Estimate of the wall clock. Once ``enough`` is set no further packet is sent,
    and the train is shorter. ``on_reply`` is called at each reply. Raises nothing for line or peer.
    """
    session = _Session(train, estimate(), enough, on_reply)
    try:
        family, address = await _resolve(train)
        sock = _open(family, address, train.dscp)
    except socket.gaierror as error:
        return session.result(Failure.NAME_UNKNOWN, f"{train.host}: {error.strerror}")
    except OSError as error:
        return session.result(Failure.UNREACHABLE, f"{train.host}: {error.strerror}")
    with sock:
        await session.run(sock)
    return session.result()


async def _resolve(train: Train) -> tuple[socket.AddressFamily, Address]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(train.host, train.port, type=socket.SOCK_DGRAM)
    family, _, _, _, address = found[0]
    return family, cast("Address", address)


def _open(family: int, address: Address, dscp: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        timestamps.enable(sock, transmit=True)
        timestamps.set_dscp_ecn(sock, dscp << 2)
        # 255 is the practice of TWAMP; RFC 8762 names no value.
        timestamps.set_ttl(sock, _SENT_TTL)
        sock.connect(address)  # the kernel then drops everybody else's datagrams
    except OSError:
        sock.close()
        raise
    return sock


class _ClockWatch:
    """Detector of steps of the wall clock: slewing does not change its distance to CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._least, self._most = self._offset()
        self.step_ns = 0

    def look(self) -> None:
        least, most = self._offset()
        self.step_ns = max(self.step_ns, least - self._most, self._least - most)

    @staticmethod
    def _offset() -> tuple[int, int]:
        """Bounds of the distance: the process may lose the processor between two readings."""
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        return wall - after, wall - before


class _Session:
    def __init__(
        self,
        train: Train,
        estimate: ErrorEstimate,
        enough: asyncio.Event | None,
        on_reply: Callable[[], None] | None,
    ) -> None:
        self._train = train
        self._enough = enough
        self._on_reply = on_reply
        self._estimate = estimate
        # Random, so that a recorded reply of another train is not accepted. 0 means no SSID (RFC 8972 section
        # 3).
        self._ssid = 1 + secrets.randbelow(0xFFFF)
        self._sender = SessionSender(
            SenderSettings(
                ssid=self._ssid,
                key=train.key,
                wanted_dscp=train.dscp if train.class_of_service else None,
                follow_up=train.follow_up,
                payload_bytes=train.payload_bytes,
                twamp_light=train.twamp_light,
            )
        )
        self._clock = _ClockWatch()
        self._all_answered = asyncio.Event()
        self._closed = asyncio.Event()
        self._finished_sending = False
        self._first_numbered = 0  # the sequence number of the packet that the kernel numbers 0
        self._unsent = 0
        self._send_failure: Failure | None = None
        self._send_detail = ""
        self._refusals = 0
        self._lateness_s = 0.0
        self._bytes = Counter[str]()

    async def run(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        # Not asyncio's datagram endpoint: kernel timestamps are in control messages, which only recvmsg
        # gives.
        loop.add_reader(sock, self._readable, sock)
        try:
            await self._send_all(loop, sock)
            self._finished_sending = True
            self._look_whether_done()
            if not self._is_hopeless():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._all_answered.wait(), self._train.timeout_s)
                await self._close(sock)
        finally:
            loop.remove_reader(sock)
        self._take_transmit_stamps(sock)

    async def _send_all(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        deadline = loop.time()
        for _ in range(self._train.count):
            await asyncio.sleep(max(0.0, deadline - loop.time()))
            if self._is_hopeless() or (self._enough is not None and self._enough.is_set()):
                return
            now = loop.time()
            self._lateness_s = max(self._lateness_s, now - deadline)
            self._clock.look()
            self._send_one(sock)
            # After a stall the train continues from now: packets sent in a burst would measure their own
            # queue.
            deadline = max(deadline + self._train.interval_s, now)

    def _send_one(self, sock: socket.socket) -> None:
        packet = self._sender.packet(time.time_ns(), self._estimate)
        try:
            try:
                timestamps.send(sock, packet)
            except ConnectionRefusedError:
                # The kernel reports the refusal of an earlier packet instead of sending this one.
                self._refusals += 1
                self._restart_numbering(sock)
                timestamps.send(sock, packet)
        except OSError as error:
            self._not_sent(sock, error)
        else:
            self._bytes["sent"] += len(packet) + _IP_AND_UDP_BYTES[sock.family]

    async def _close(self, sock: socket.socket) -> None:
        """Ask when the last reply was really sent; without an answer its own T3 is used."""
        packet = self._sender.closing(time.time_ns(), self._estimate)
        if packet is None:
            return
        with contextlib.suppress(OSError):
            timestamps.send(sock, packet)
            self._bytes["sent"] += len(packet) + _IP_AND_UDP_BYTES[sock.family]
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), min(self._train.timeout_s, _CLOSING_S))

    def _not_sent(self, sock: socket.socket, error: OSError) -> None:
        self._unsent += 1
        self._send_failure = _SEND_FAILURES.get(error.errno or 0, Failure.UNREACHABLE)
        self._send_detail = error.strerror or ""
        self._restart_numbering(sock)
        self._sender.forget_last()

    def _restart_numbering(self, sock: socket.socket) -> None:
        """Make the present packet number 0, because a failed send may or may not have used up a number."""
        self._take_transmit_stamps(sock)
        timestamps.restart_numbering(sock)
        self._first_numbered = len(self._sender.exchanges) - 1

    def _readable(self, sock: socket.socket) -> None:
        self._take_transmit_stamps(sock)
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                datagram = timestamps.receive(sock)
            except OSError as error:
                self._refusals += isinstance(error, ConnectionRefusedError)
                continue
            if datagram is None:
                break
            self._take(datagram, sock.family)
        self._clock.look()
        self._look_whether_done()

    def _take(self, datagram: Datagram, family: int) -> None:
        self._bytes["received"] += len(datagram.payload) + _IP_AND_UDP_BYTES[family]
        headers = datagram.headers
        verdict = self._sender.received(
            datagram.payload,
            headers.received_ns,
            by_kernel=headers.source is StampSource.KERNEL,
            dscp_ecn=headers.dscp_ecn,
        )
        if verdict is ReplyVerdict.ACCEPTED and self._on_reply:
            self._on_reply()

    def _take_transmit_stamps(self, sock: socket.socket) -> None:
        for number, sent_ns in timestamps.transmit_stamps(sock):
            self._sender.transmitted(self._first_numbered + number, sent_ns)

    def _is_hopeless(self) -> bool:
        """True after enough refusals and no reply: the rest of the train would end in the same way."""
        return self._refusals >= _REFUSALS_ENOUGH and not self._sender.counters.total()

    def _look_whether_done(self) -> None:
        answered = self._sender.counters[ReplyVerdict.ACCEPTED]
        if self._finished_sending and answered == len(self._sender.exchanges):
            self._all_answered.set()
        if self._sender.counters[ReplyVerdict.CLOSING]:
            self._closed.set()

    def result(self, failure: Failure | None = None, detail: str = "") -> TrainResult:
        timeout_ns = round(self._train.timeout_s * 1e9)
        sender, stateful = self._sender, self._train.stateful
        return TrainResult(
            statistics=train_statistics(sender.exchanges, sender.duplicates, timeout_ns, stateful=stateful),
            session=f"{self._ssid:04x}",
            received=sender.counters,
            unsent=self._unsent,
            send_failure=self._send_failure,
            refused=self._refusals > 0,
            clock_step_us=self._clock.step_ns // 1000,
            worst_lateness_us=round(self._lateness_s * 1e6),
            bytes_sent=self._bytes["sent"],
            bytes_received=self._bytes["received"],
            failure=failure,
            detail=detail or self._send_detail,
            exchanges=sender.exchanges,
        )
