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
from peer.admission import Admission, Admitted, Denial, Ticket
from peer.refusals import LineLimit, Refusals
from peer.reputation import Holder, Trust
from wire.udpstp import pdu, reception
from wire.udpstp.reception import Limits, Offer, Reception, Unanswered
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
    Denial.WAITING: reception.CAPACITY_EXCEEDED,
    Denial.TURN: reception.CAPACITY_EXCEEDED,
}
_SPARE_THREADS = 32
# Lines of set-ups that came to nothing, a minute: the others are counted alone.
_MOST_LINES = 30
_CAME_TO_NOTHING = (ServerOutcome.NOT_ACTIVATED, ServerOutcome.UNHEARD)


@dataclass(slots=True, eq=False)
class _Running:
    test: ServerTest
    ticket: Ticket
    began: int
    cancelled: threading.Event = field(default_factory=threading.Event)

    def is_replaced_by(self, offer: Offer, now: int) -> bool:
        """True if ``offer`` shows that its client abandoned this test before it proved that it hears."""
        # A client whose set-up lost a message starts again (RFC 9946 section 6.1), long before our watchdog.
        mine = self.test.offer
        same = (mine.setup.key_id, mine.source[0], mine.direction) == (
            offer.setup.key_id, offer.source[0], offer.direction,
        )  # fmt: skip
        return same and not self.test.heard and now - self.began > _ABANDONED_NS


def _ignore(test: ServerTest, set_up: int) -> None:
    pass


class UdpstpServer:
    """Serves load tests on one UDP address; ``port`` 0 takes a free one.

    ``on_ended`` is called on the event loop at the end of every accepted test. Its second argument is the
    monotonic time of the set-up, in ns. Left out are set-ups of doubtful holders that nobody activated.
    ``refusals`` counts requests that were not served, by reason.
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
        self.refusals = Refusals("set-ups")
        self._lines = LineLimit(_MOST_LINES)
        self._kernel_drops = 0
        self._address, self._asked_port = address, port
        self._family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        self._reception = Reception(keys)
        self._admission, self._limits, self._on_ended = admission, limits, on_ended
        # A test that is abandoned or displaced keeps its thread a moment longer than its ticket.
        self._most_threads = 2 * admission.sessions + _SPARE_THREADS
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
        self._threads = ThreadPoolExecutor(self._most_threads, thread_name_prefix="udpstp")
        asyncio.get_running_loop().add_reader(self._socket, self._serve, self._socket)

    async def stop(self) -> None:
        """Refuse new tests, stop the running ones, and wait for them: 3 s at most."""
        if self._socket is None or self._threads is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket, self._kernel_drops = None, 0
        # Each end sends its stop first, so that agents report a peer that stopped and not a silent one.
        for running in self._running:
            running.cancelled.set()
        await asyncio.gather(*self._running.values(), return_exceptions=True)
        self._threads.shutdown()

    def log_refusals(self) -> None:
        """Log what was not served, if a line is due; to be called now and then."""
        if self._socket is not None:
            drops = load.receive_drops(self._socket)
            if drops > self._kernel_drops:
                self.refusals.note("dropped-by-kernel", count=drops - self._kernel_drops)
            self._kernel_drops = drops
        self._log_due()

    def _refused(self, reason: str, key_id: int | None = None) -> None:
        self.refusals.note(reason, key_id)
        self._log_due()

    def _log_due(self) -> None:
        if line := self.refusals.line(time.monotonic_ns()):
            _LOG.warning("%s", line)

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
        if isinstance(taken, Offer):
            self._answer(sock, datagram, self._admit(taken, datagram.headers.destination, wall))
            return
        if isinstance(taken, Unanswered):
            self._refused(taken.reason, taken.key_id)
        else:
            self._answer(sock, datagram, taken.answer)
            self._log_line("test session=%s outcome=refused code=%d", taken.session, taken.code)
            self._refused(f"code-{taken.code}")
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
        self._note_proofs(now)
        for other in [other for other in self._running if other.is_replaced_by(offer, now)]:
            self._end(other, now)
        holder = Holder.of(offer.setup.key_id, offer.source[0])
        # A flood displaces its own tests faster than their threads end: some are left to the others.
        spare = _SPARE_THREADS if self._admission.trust(holder, now) < Trust.UNKNOWN else 0
        if len(self._running) >= self._most_threads - spare:
            return self._refuse(offer, reception.NO_CONNECTION, "threads", wall)
        # No test sends faster than the highest row, so no more is reserved.
        rate = min(offer.setup.bandwidth_mbps, self._limits.highest_row) * 1_000_000
        admitted = self._admission.admit(holder, offer.direction, rate, now)
        if isinstance(admitted, Denial):
            return self._refuse(offer, _CODES[admitted], admitted.value, wall)
        for other in [other for other in self._running if other.ticket in admitted.displaced]:
            self._end(other, now)
        return self._start(offer, admitted, local, wall)

    def _note_proofs(self, now: int) -> None:
        for running in self._running:
            if running.test.heard:
                self._admission.proved(running.ticket, now)

    def _end(self, running: _Running, now: int) -> None:
        running.cancelled.set()
        self._admission.release(running.ticket, now)

    def _start(self, offer: Offer, admitted: Admitted, local: str | None, wall: int) -> bytes:
        now, ticket = time.monotonic_ns(), admitted.ticket
        try:
            # At the address of the request: the client expects the load from there, whatever else this host
            # has.
            sock = self._open_test_port(local or self._address)
        except OSError as error:
            self._admission.release(ticket, now, is_miss=False)
            return self._refuse(offer, reception.NO_CONNECTION, f"no port: {error.strerror}", wall)
        test_port = sock.getsockname()[1]
        try:
            self._begin(_Running(ServerTest(offer.at(test_port), self._limits, now), ticket, now), sock)
        except RuntimeError as error:  # the machine cannot start another thread
            sock.close()
            self._admission.release(ticket, now, is_miss=False)
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
        self._log_line("test session=%s key=%d direction=%s outcome=refused code=%d reason=%s",
                       offer.session, offer.setup.key_id, offer.direction, code, reason)  # fmt: skip
        self._refused(reason, offer.setup.key_id)
        return offer.refuse(code, wall)

    def _log_line(self, text: str, *values: object) -> None:
        if self._lines.allows(time.monotonic_ns()):
            _LOG.info(text, *values)

    def _begin(self, running: _Running, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        # A thread for each test: sending must not wait for the event loop.
        future = loop.run_in_executor(self._threads, _run, running, sock)
        self._running[running] = future
        future.add_done_callback(lambda done: self._ended(running, done))

    def _ended(self, running: _Running, done: "asyncio.Future[None]") -> None:
        now, test, ticket = time.monotonic_ns(), running.test, running.ticket
        self._running.pop(running, None)
        if test.heard:
            self._admission.proved(ticket, now)
        # A refused activation mostly comes from a client that has heard the set-up's answer.
        self._admission.release(ticket, now, is_miss=test.outcome is not ServerOutcome.REFUSED)
        if not done.cancelled() and (error := done.exception()) is not None:
            _LOG.error("test session=%s failed", test.offer.session, exc_info=error)
            test.outcome = ServerOutcome.FAILED
        elif test.outcome in _CAME_TO_NOTHING:
            self._log_line("%s", _line(running))
            self._refused(test.outcome.value, test.offer.setup.key_id)
            if ticket.trust < Trust.UNKNOWN:
                return
        else:
            _LOG.info("%s", _line(running))
        self._on_ended(test, running.began)


def _run(running: _Running, sock: socket.socket) -> None:
    with sock:
        load.run(running.test, sock, running.cancelled)


def _line(running: _Running) -> str:
    """Log line of a test, without any address."""
    test, setup = running.test, running.test.offer.setup
    row = "search" if test.searches else test.row
    duration_ms = (time.monotonic_ns() - running.began) // 1_000_000
    return (
        f"test session={test.offer.session} key={setup.key_id} direction={test.offer.direction} row={row} "
        f"mbit_s={setup.bandwidth_mbps} bytes_sent={test.bytes_sent} bytes_received={test.bytes_received} "
        f"packets={test.load_packets} duration_ms={duration_ms} outcome={test.outcome.value}"
    )
