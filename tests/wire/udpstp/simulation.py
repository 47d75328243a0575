"""Client core and server core in simulated time, over a link that delays, queues and drops packets."""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from msgspec.structs import replace

from wire.records import Direction
from wire.udpstp import auth, pdu
from wire.udpstp.client import Client
from wire.udpstp.ends import batches
from wire.udpstp.load import Address, LoadReport, Plan, Search
from wire.udpstp.reception import Limits, Offer, Reception, Refusal
from wire.udpstp.server import ServerTest

MS = 1_000_000
S = 1_000_000_000
WALL = 1_795_375_959 * S
CLIENT: Address = ("192.0.2.1", 40_000)
SERVER: Address = ("198.51.100.1", 24_601)
TEST_PORT = 50_000
OVERHEAD = 28
KEYS = auth.derive_keys(b"secret", WALL // S)


def plan_for(
    direction: Direction, *, row: int = 8, seconds: int = 1, secret: bytes = b"secret",
    search: Search | None = None, packet_bytes: int | None = None,
) -> Plan:  # fmt: skip
    return Plan(
        address=SERVER, ident=0x1234, key_id=7, secret=secret, direction=direction, row=row,
        duration_s=seconds, search=search, packet_bytes=packet_bytes,
    )  # fmt: skip


def setup(**changes: int) -> pdu.Setup:
    return pdu.Setup(**{"ident": 1, "auth_time": WALL // S, "key_id": 7, "bandwidth_mbps": 8} | changes)


def signed(packet: pdu.Setup | pdu.Activation, key: bytes = KEYS.client) -> bytes:
    return auth.sign(packet.pack(), key)


@dataclass
class Way:
    """One direction: ``rate`` in IP bit/s (None: no bottleneck) with a queue of ``queue_ms``.

    ``duplicates`` is the share of packets that arrive twice, doubled behind the bottleneck. ``frame_bytes``
    of each packet count at the bottleneck only.
    """

    delay_ms: float = 10
    rate: float | None = None
    queue_ms: float = 1000
    loss: float = 0.0
    duplicates: float = 0.0
    frame_bytes: int = 0
    drops: Callable[[bytes, int], bool] = lambda _packet, _now: False
    seed: int = 1
    free_at: float = 0
    carried: int = 0
    loads: int = 0
    randomness: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.randomness = random.Random(self.seed)

    def pass_on(self, packet: bytes, now: int) -> int | None:
        """Time at which the packet arrives, None where it is dropped."""
        if self.drops(packet, now) or self.randomness.random() < self.loss:
            return None
        out = float(now)
        if self.rate is not None:
            begin = max(self.free_at, now)
            if begin - now > self.queue_ms * MS:
                return None
            out = self.free_at = begin + (len(packet) + OVERHEAD + self.frame_bytes) * 8 / self.rate * S
        self.carried += len(packet) + OVERHEAD
        self.loads += len(packet) > pdu.LOAD_HEADER.size and pdu.is_load(packet)
        return int(out + self.delay_ms * MS)


@dataclass
class World:
    """Both ends and the packets in flight between them.

    ``skew_ns`` is the server's wall clock minus the client's.
    """

    up: Way = field(default_factory=Way)
    down: Way = field(default_factory=Way)
    secret: bytes = b"secret"
    skew_ns: int = 0
    limits: Limits = field(default_factory=Limits)
    refuse_with: int = 0
    server_dies_at: int | None = None
    test: ServerTest | None = None
    now: int = 0

    def __post_init__(self) -> None:
        self._events: list[tuple[int, int, bool, bytes, Address]] = []
        self._order = count()
        self._reception = Reception({7: self.secret})
        self._buffer = bytearray(batches.MOST_BYTES)

    def run(self, plan: Plan, *, until: int = 60 * S, cancel_at: int | None = None) -> LoadReport:
        """Run client and server to the end of the test."""
        client = Client(plan, self.now, WALL + self.now)
        while not (client.finished and (self.test is None or self.test.finished)):
            assert self.now < until, "the test does not end"
            if cancel_at is not None and self.now >= cancel_at:
                client.cancel(self.now)
            self._deliver(client)
            self._transmit(client)
            self._advance(client, cancel_at)
        return client.report()

    def way(self, direction: Direction) -> Way:
        """The way that a load in this direction takes."""
        return self.up if direction is Direction.UP else self.down

    def alter(self, change: Callable[[bytes], bytes]) -> None:
        """Give each packet of the server to ``change``, and send what it returns instead."""
        honest = self._send
        self._send = lambda packet, *, to_server, source: honest(  # type: ignore[method-assign]
            packet if to_server else change(packet), to_server=to_server, source=source
        )

    def alter_activation(self, **changes: int) -> None:
        """Change the server's answer to the activation, under a valid digest."""

        def altered(packet: bytes) -> bytes:
            answer = pdu.parse_activation(packet)
            return signed(replace(answer, **changes), KEYS.server) if answer else packet

        self.alter(altered)

    def _dead(self) -> bool:
        return self.server_dies_at is not None and self.now >= self.server_dies_at

    def _deliver(self, client: Client) -> None:
        while self._events and self._events[0][0] <= self.now:
            at, _, to_server, packet, source = heapq.heappop(self._events)
            if not to_server:
                if not client.finished:
                    client.receive(packet, source, at, WALL + at)
            elif not self._dead():
                self._at_server(packet, source, at)

    def _at_server(self, packet: bytes, source: Address, at: int) -> None:
        wall = WALL + at + self.skew_ns
        if packet[:2] == b"\xac\xe1":
            taken = self._reception.receive(packet, source, wall)
            if isinstance(taken, Refusal):
                self._send(taken.answer, to_server=False, source=SERVER)
            elif isinstance(taken, Offer) and self.refuse_with:
                self._send(taken.refuse(self.refuse_with, wall), to_server=False, source=SERVER)
            elif isinstance(taken, Offer):
                self.test = ServerTest(taken.at(TEST_PORT), self.limits, at)
                self._send(taken.accept(TEST_PORT, wall), to_server=False, source=SERVER)
        elif self.test is not None and not self.test.finished:
            self.test.receive(packet, source, at, wall)

    def _transmit(self, client: Client) -> None:
        while not client.finished and (size := client.transmit(self._buffer, self.now, WALL + self.now)):
            for packet in batches.pieces(self._buffer[:size], client.segment_bytes):
                self._send(packet, to_server=True, source=CLIENT)
        test = self.test
        if test is None:
            return
        if self._dead():
            self.test = None
            return
        wall = WALL + self.now + self.skew_ns
        while not test.finished and (size := test.transmit(self._buffer, self.now, wall)):
            for packet in batches.pieces(self._buffer[:size], test.segment_bytes):
                self._send(packet, to_server=False, source=(SERVER[0], TEST_PORT))

    def _send(self, packet: bytes, *, to_server: bool, source: Address) -> None:
        way = self.up if to_server else self.down
        out = way.pass_on(packet, self.now)
        if out is None:
            return
        for _ in range(1 + (way.randomness.random() < way.duplicates)):
            heapq.heappush(self._events, (out, next(self._order), to_server, packet, source))

    def _advance(self, client: Client, cancel_at: int | None) -> None:
        ends: list[Client | ServerTest] = [client] if self.test is None else [client, self.test]
        times = [end.deadline for end in ends if not end.finished]
        times += [self._events[0][0]] if self._events else []
        times += [at for at in (cancel_at, self.server_dies_at) if at is not None]
        self.now = max(self.now + 1, min((at for at in times if at > self.now), default=self.now + MS))
