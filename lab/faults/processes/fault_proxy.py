"""TCP proxy on loopback with faults that are switched while connections run through it.

It is between a client and a server, mostly a broker, and relays both directions. A fault is for open and new
connections, until the next ``set``. Data that a fault delayed passes then, as on a recovered link.
``FaultProxy`` lives in an event loop; ``hosted`` runs one in a thread of its own.
"""

import asyncio
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum

from lab.faults.processes.mqtt_frames import FramingError, Packets, publication

HOST = "127.0.0.1"
READ_BYTES = 65536
END_WITHIN_S = 5.0
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time at all: close() sends a reset


class FaultKind(StrEnum):
    """Fault of a direction, or of connections."""

    PASS = "pass"  # noqa: S105 -- no secret
    STALL = "stall"  # stops reading: the sender's window closes, its connection stays open
    SWALLOW = "swallow"  # reads and drops: a half-open link whose kernel still acknowledges
    GARBAGE = "garbage"  # a random byte in place of each byte
    TRICKLE = "trickle"  # one byte every ``seconds``
    DELAY = "delay"  # all data later by ``seconds``
    TRUNCATE = "truncate"  # closes both sides in order, in the middle of the data
    RESET = "reset"  # resets every connection, open or new
    HANG_UP = "hang up"  # closes every connection, open or new
    LIE = "lie"  # acknowledges publications of QoS 1 itself and drops them; passes the rest


class Way(StrEnum):
    """Direction: ``up`` from client to server, ``down`` from server to client."""

    UP = "up"
    DOWN = "down"


BOTH = frozenset(Way)


@dataclass(frozen=True, slots=True)
class ConnectionFault:
    """Fault and its scope.

    ``ways``: the directions concerned. ``after``: bytes of such a direction that still pass, counted from
    ``set`` or from the beginning of a later connection. ``seconds``: for DELAY and TRICKLE. ``topics``: for
    LIE, the publications to drop.
    """

    kind: FaultKind
    ways: frozenset[Way] = BOTH
    after: int = 0
    seconds: float = 0.0
    topics: Callable[[str], bool] = lambda _topic: True


@dataclass(slots=True)
class Tally:
    """Counters: connections accepted, bytes passed in each direction, publications dropped by LIE."""

    connections: int = 0
    passed: dict[Way, int] = field(default_factory=lambda: dict.fromkeys(Way, 0))
    swallowed: int = 0


NONE = ConnectionFault(FaultKind.PASS)
_ENDINGS = (FaultKind.RESET, FaultKind.HANG_UP)


@dataclass(slots=True, eq=False)
class _Connection:
    # ``spent``: bytes passed under the present fault, by direction.
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    spent: dict[Way, int] = field(default_factory=lambda: dict.fromkeys(Way, 0))
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, *, reset: bool) -> None:
        self.ended.set()
        for writer in (self.client, self.server):
            sock = writer.get_extra_info("socket")
            if reset and sock is not None:
                with suppress(OSError):  # the other side was faster
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                writer.transport.abort()
            else:
                writer.close()


class FaultProxy:
    """Proxy that listens on ``HOST`` inside ``async with``, at ``port``, 0 for a free one.

    ``mqtt``: relay whole MQTT packets, which LIE needs; not for TLS. ``seed``: random seed of the garbage.
    """

    def __init__(self, target_port: int, *, port: int = 0, mqtt: bool = False, seed: int = 0) -> None:
        self.port = port
        self.tally = Tally()
        self._target = target_port
        self._mqtt = mqtt
        self._random = random.Random(seed)
        self._fault = NONE
        self._changed = asyncio.Event()
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> "FaultProxy":
        self._server = await asyncio.start_server(self._serve, HOST, self.port, limit=READ_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._closed = True
        # First of all: no connection may come in behind those that are cut.
        self._server.close()
        self.cut()
        if self._tasks:  # they end with their connections
            await asyncio.wait(self._tasks, timeout=END_WITHIN_S)

    @property
    def open_connections(self) -> int:
        """Number of open connections."""
        return len(self._open)

    def set(self, fault: ConnectionFault = NONE) -> None:
        """Switch to this fault. Raises ValueError for LIE without ``mqtt``."""
        if fault.kind is FaultKind.LIE and not self._mqtt:
            raise ValueError("LIE needs mqtt=True")
        self._fault = fault
        for connection in list(self._open):
            connection.spent = dict.fromkeys(Way, 0)
            if fault.kind in _ENDINGS:
                connection.end(reset=fault.kind is FaultKind.RESET)
        # Whoever waits has the old event. The next change needs a new one, or it would be missed.
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    def cut(self) -> None:
        """Reset all open connections; new ones have the present fault."""
        for connection in list(self._open):
            connection.end(reset=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self.tally.connections += 1
        # Only asyncio awaits this task, and in Python 3.11 it logs an error for one that ends as cancelled.
        with suppress(OSError, asyncio.CancelledError):
            await self._connect(reader, writer)
        writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_read, to_write = await asyncio.open_connection(HOST, self._target, limit=READ_BYTES)
        connection = _Connection(writer, to_write)
        self._open.add(connection)
        if self._closed or self._fault.kind in _ENDINGS:  # the cut at the end came before this one was open
            connection.end(reset=self._closed or self._fault.kind is FaultKind.RESET)
        await self._pass_on(connection, reader, to_read)

    async def _pass_on(
        self, connection: _Connection, client: asyncio.StreamReader, server: asyncio.StreamReader
    ) -> None:
        pumps = (
            asyncio.create_task(self._pump(connection, client, Way.UP)),
            asyncio.create_task(self._pump(connection, server, Way.DOWN)),
            asyncio.create_task(_true(connection.ended)),
        )
        try:
            # An end on one side ends the other: MQTT and TLS know no half-closed connections.
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            connection.end(reset=False)
            self._open.discard(connection)

    async def _pump(self, connection: _Connection, source: asyncio.StreamReader, way: Way) -> None:
        packets = Packets()
        with suppress(FramingError):
            while data := await _read(source):
                for piece in packets.feed(data) if self._mqtt else [data]:
                    if not await self._treat(connection, piece, way):
                        return
        # A link that carries no bytes does not signal the end of a connection either.
        while way in self._fault.ways and self._fault.kind in (FaultKind.STALL, FaultKind.SWALLOW):
            await self._changed.wait()

    async def _treat(self, connection: _Connection, piece: bytes, way: Way) -> bool:
        """Pass as much of ``piece`` as the fault lets through; return False to close the connection."""
        while piece:
            fault, changed = self._fault, self._changed
            if way not in fault.ways or fault.kind is FaultKind.PASS:
                return await self._write(connection, piece, way)
            if (free := fault.after - connection.spent[way]) > 0:
                await self._write(connection, piece[:free], way)
                piece = piece[free:]
            elif fault.kind is FaultKind.STALL:
                await changed.wait()
            elif fault.kind is FaultKind.TRICKLE:
                await _within(changed, fault.seconds)
                await self._write(connection, piece[:1], way)
                piece = piece[1:]
            else:
                return await self._spoil(connection, piece, way, fault)
        return True

    async def _spoil(self, connection: _Connection, piece: bytes, way: Way, fault: ConnectionFault) -> bool:
        if fault.kind is FaultKind.TRUNCATE:
            return False
        if fault.kind is FaultKind.GARBAGE:
            return await self._write(connection, self._random.randbytes(len(piece)), way)
        if fault.kind is FaultKind.DELAY:
            await _within(self._changed, fault.seconds)
            return await self._write(connection, piece, way)
        if fault.kind is FaultKind.LIE:
            return await self._lie(connection, piece, way, fault)
        return True  # swallowed

    async def _lie(self, connection: _Connection, packet: bytes, way: Way, fault: ConnectionFault) -> bool:
        head = publication(packet)
        if head is None or head.quality > 1 or not fault.topics(head.topic):
            return await self._write(connection, packet, way)
        self.tally.swallowed += 1
        back = Way.DOWN if way is Way.UP else Way.UP
        return await self._write(connection, head.acknowledgement, back)

    async def _write(self, connection: _Connection, data: bytes, way: Way) -> bool:
        writer = connection.server if way is Way.UP else connection.client
        try:
            writer.write(data)
            await writer.drain()
        except ConnectionError:
            return False
        connection.spent[way] += len(data)
        self.tally.passed[way] += len(data)
        return True


async def _true(event: asyncio.Event) -> None:
    await event.wait()


async def _read(source: asyncio.StreamReader) -> bytes:
    """Return the next bytes; none at the end, orderly or not."""
    try:
        return await source.read(READ_BYTES)
    except ConnectionError:
        return b""


async def _within(event: asyncio.Event, seconds: float) -> None:
    """Wait for ``event``, at most ``seconds``."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


@asynccontextmanager
async def fault_proxy(target_port: int, *, mqtt: bool = False, seed: int = 0) -> AsyncIterator[FaultProxy]:
    """Run a proxy in the running event loop while the block lasts."""
    async with FaultProxy(target_port, mqtt=mqtt, seed=seed) as proxy:
        yield proxy


class Hosted:
    """Proxy that runs in another thread."""

    def __init__(self, proxy: FaultProxy, loop: asyncio.AbstractEventLoop) -> None:
        self.port = proxy.port
        self._proxy = proxy
        self._loop = loop

    def set(self, fault: ConnectionFault = NONE) -> None:
        """Do as ``FaultProxy.set``; the fault is in force on return."""
        self._there(lambda: self._proxy.set(fault))

    def cut(self) -> None:
        """Do as ``FaultProxy.cut``."""
        self._there(self._proxy.cut)

    @property
    def tally(self) -> Tally:
        """Counters of the proxy."""
        return self._proxy.tally

    @property
    def open_connections(self) -> int:
        """Number of open connections."""
        return self._proxy.open_connections

    def _there(self, work: Callable[[], None]) -> None:
        async def call() -> None:
            work()

        asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)


@contextmanager
def hosted(target_port: int, *, port: int = 0, mqtt: bool = False, seed: int = 0) -> Iterator[Hosted]:
    """Run a proxy in a thread of its own while the block lasts. Raises OSError if the port is taken."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fault-proxy", daemon=True)
    thread.start()

    async def make() -> FaultProxy:
        return await FaultProxy(target_port, port=port, mqtt=mqtt, seed=seed).__aenter__()

    try:
        proxy = asyncio.run_coroutine_threadsafe(make(), loop).result(10)
        try:
            yield Hosted(proxy, loop)
        finally:
            asyncio.run_coroutine_threadsafe(proxy.__aexit__(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
