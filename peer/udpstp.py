"""Sockets of the RFC 9946 server: a control port on the event loop, a thread and a port for each test."""

import asyncio
import contextlib
import errno
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address

from net import load, timestamps
from net.timestamps import Datagram
from peer.admission import Admission, Denial, Ticket
from wire.udpstp import pdu, reception
from wire.udpstp.reception import Limits, Offer, Reception, Refusal
from wire.udpstp.server import ServerOutcome, ServerTest

_LOG = logging.getLogger(__name__)
# Then the event loop has a turn: STAMP replies must not wait for a flood of requests.
_DATAGRAMS_A_TURN = 64
# Other protocol versions that are logged; the registry has none but 20 (RFC 9946 section 12.3.2).
MOST_VERSIONS = 8
# A client waits 2 s for its set-up: within 1 s a second request may be a test beside the first.
_ABANDONED_NS = 1_000_000_000

_CODES = {
    Denial.BANDWIDTH: reception.CAPACITY_EXCEEDED,
    Denial.SESSIONS: reception.NO_CONNECTION,
    # RFC 9946 has no code for a limit of one key: it is the capacity that this client may use.
    Denial.KEY: reception.CAPACITY_EXCEEDED,
}


@dataclass(slots=True, eq=False)
class _Running:
    test: ServerTest
    ticket: Ticket
    began: int
    cancelled: threading.Event = field(default_factory=threading.Event)

    def is_replaced_by(self, offer: Offer, now: int) -> bool:
        """True if ``offer`` shows that its client abandoned this test before it began."""
        # A client whose set-up lost a message starts again (RFC 9946 section 6.1), long before our watchdog.
        mine = self.test.offer
        same = (mine.setup.key_id, mine.source[0], mine.direction) == (
            offer.setup.key_id, offer.source[0], offer.direction,
        )  # fmt: skip
        return same and self.test.row is None and now - self.began > _ABANDONED_NS


def _ignore(test: ServerTest, set_up: int) -> None:
    pass


class UdpstpServer:
    """Serves load tests on one UDP address; ``port`` 0 takes a free one.

    ``on_ended`` is called on the event loop at the end of every accepted test. Its second argument is the
    monotonic time of the set-up, in ns.
    """

    def __init__(
        self,
        address: str,
        port: int,
        keys: dict[int, bytes],
        admission: Admission,
        limits: Limits,
        on_ended: Callable[[ServerTest, int], None] = _ignore,
        test_ports: Sequence[int] = (0,),
    ) -> None:
        self._test_ports = test_ports
        self._versions: set[int | None] = set()
        self._address, self._asked_port = address, port
        self._family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        self._reception = Reception(keys)
        self._admission, self._limits, self._on_ended = admission, limits, on_ended
        self._socket: socket.socket | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._running: dict[_Running, asyncio.Future[None]] = {}

    @property
    def port(self) -> int:
        """Control port served; before ``start`` the one asked for."""
        return int(self._socket.getsockname()[1]) if self._socket else self._asked_port

    @property
    def serving(self) -> bool:
        """True while its control port is open."""
        return self._socket is not None

    @property
    def tests(self) -> int:
        """Number of tests set up or running."""
        return len(self._running)

    def take_keys(self, keys: dict[int, bytes]) -> None:
        """Use these keys from now on; running tests continue."""
        self._reception.take_keys(keys)

    async def start(self) -> None:
        """Start to serve. Raises OSError if the address and port are not available."""
        self._socket = load.open_socket(self._family, (self._address, self._asked_port))
        # A test that its client abandoned keeps its thread a moment longer than its ticket.
        self._threads = ThreadPoolExecutor(2 * self._admission.sessions, thread_name_prefix="udpstp")
        asyncio.get_running_loop().add_reader(self._socket, self._serve, self._socket)

    async def stop(self) -> None:
        """Refuse new tests, stop the running ones, and wait for them: 3 s at most."""
        if self._socket is None or self._threads is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        # Each end sends its stop first, so that agents report a peer that stopped and not a silent one.
        for running in self._running:
            running.cancelled.set()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._threads.shutdown()

    def _serve(self, sock: socket.socket) -> None:
        for _ in range(_DATAGRAMS_A_TURN):
            try:
                datagram = timestamps.receive(sock)
            except OSError:
                # ICMP errors for earlier answers say nothing about the next request.
                load.discard_errors(sock)
                continue
            if datagram is None:
                return
            self._take(sock, datagram)

    def _take(self, sock: socket.socket, datagram: Datagram) -> None:
        wall = time.time_ns()
        taken = self._reception.receive(datagram.payload, datagram.address, wall)
        if isinstance(taken, Refusal):
            _LOG.info("test session=%s outcome=refused code=%d", taken.session, taken.code)
            self._answer(sock, datagram, taken.answer)
        elif isinstance(taken, Offer):
            self._answer(sock, datagram, self._admit(taken, datagram.headers.destination, wall))
            return
        self._note_version(pdu.setup_version(datagram.payload))

    def _note_version(self, version: int | None) -> None:
        """Log another protocol version, once: what is not verified must not fill the log."""
        # Older programs sign in another way, or not at all: they get no answer that could tell them.
        if version in (None, pdu.PROTOCOL_VERSION) or len(self._versions) >= MOST_VERSIONS:
            return
        if version not in self._versions:
            self._versions.add(version)
            _LOG.warning(
                "a client speaks version %d of UDPSTP, this peer version %d (RFC 9946): update the older one;"
                " further requests of that version are not logged", version, pdu.PROTOCOL_VERSION,
            )  # fmt: skip

    def _answer(self, sock: socket.socket, datagram: Datagram, answer: bytes) -> None:
        # An answer that cannot be sent is as good as lost: the client starts its set-up again.
        with contextlib.suppress(OSError):
            # From the address of the request: a client may ignore an answer from another one.
            timestamps.send(sock, answer, datagram.address, source=datagram.headers.destination)

    def _admit(self, offer: Offer, local: str | None, wall: int) -> bytes:
        """Start a test if the limits admit it; return the Setup Response."""
        now = time.monotonic_ns()
        for other in [other for other in self._running if other.is_replaced_by(offer, now)]:
            other.cancelled.set()
            self._admission.release(other.ticket)
        # No test sends faster than the highest row, so no more is reserved.
        rate = min(offer.setup.bandwidth_mbps, self._limits.highest_row) * 1_000_000
        ticket = self._admission.admit(offer.setup.key_id, offer.direction, rate)
        if isinstance(ticket, Denial):
            return self._refuse(offer, _CODES[ticket], ticket.value, wall)
        try:
            # At the address of the request: the client expects the load from there, whatever else this host
            # has.
            sock = self._open_test_port(local or self._address)
        except OSError as error:
            self._admission.release(ticket)
            return self._refuse(offer, reception.NO_CONNECTION, f"no port: {error.strerror}", wall)
        test_port = sock.getsockname()[1]
        try:
            self._begin(_Running(ServerTest(offer.at(test_port), self._limits, now), ticket, now), sock)
        except RuntimeError as error:  # the machine cannot start another thread
            sock.close()
            self._admission.release(ticket)
            return self._refuse(offer, reception.NO_CONNECTION, f"no thread: {error}", wall)
        return offer.accept(test_port, wall)

    def _open_test_port(self, address: str) -> socket.socket:
        """Open a socket at a free test port. Raises OSError if there is none."""
        ports = self._test_ports
        # From a random one on: ports are not to be guessed, nor to be taken again at once.
        first = secrets.randbelow(len(ports))
        for place in range(len(ports)):
            try:
                return load.open_socket(self._family, (address, ports[(first + place) % len(ports)]))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or place == len(ports) - 1:
                    raise
        raise OSError(errno.EADDRINUSE, "no test port is free")

    def _refuse(self, offer: Offer, code: int, reason: str, wall: int) -> bytes:
        _LOG.info("test session=%s key=%d direction=%s outcome=refused code=%d reason=%s",
                  offer.session, offer.setup.key_id, offer.direction, code, reason)  # fmt: skip
        return offer.refuse(code, wall)

    def _begin(self, running: _Running, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        # A thread for each test: sending must not wait for the event loop.
        future = loop.run_in_executor(self._threads, _run, running, sock)
        self._running[running] = future
        future.add_done_callback(lambda done: self._ended(running, done))

    def _ended(self, running: _Running, done: "asyncio.Future[None]") -> None:
        self._running.pop(running, None)
        self._admission.release(running.ticket)
        if not done.cancelled() and (error := done.exception()) is not None:
            _LOG.error("test session=%s failed", running.test.offer.session, exc_info=error)
            running.test.outcome = ServerOutcome.FAILED
        else:
            _log_test(running)
        self._on_ended(running.test, running.began)


def _run(running: _Running, sock: socket.socket) -> None:
    with sock:
        load.run(running.test, sock, running.cancelled)


def _log_test(running: _Running) -> None:
    """Log one line for a test, without any address."""
    test = running.test
    _LOG.info(
        "test session=%s key=%d direction=%s row=%s mbit_s=%s bytes_sent=%d bytes_received=%d packets=%d "
        "duration_ms=%d outcome=%s",
        test.offer.session, test.offer.setup.key_id, test.offer.direction,
        "search" if test.searches else test.row,
        test.offer.setup.bandwidth_mbps, test.bytes_sent, test.bytes_received, test.load_packets,
        (time.monotonic_ns() - running.began) // 1_000_000, test.outcome.value,
    )  # fmt: skip
