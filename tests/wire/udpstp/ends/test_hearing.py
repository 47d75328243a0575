"""Proof of hearing: clients that receive, clients that guess, and the bytes that a bystander gets."""

import random
from collections.abc import Callable, Iterable

import pytest

from tests.wire.udpstp.simulation import CLIENT, KEYS, MS, WALL, S, World, plan_for, setup, signed
from wire.records import Algorithm, Direction
from wire.udpstp import pdu
from wire.udpstp.ends.hearing import SIZES, SMALLEST_BYTES, Hearing, LeadIn, StatusBudget
from wire.udpstp.load import Ending, Search
from wire.udpstp.pdu import Activation, Status
from wire.udpstp.reception import Limits, Offer
from wire.udpstp.server import ServerOutcome, ServerTest

STATUS_IP_BYTES = 232


def sent(lead_in: LeadIn, until: int = 3 * S) -> list[int]:
    """Sizes of the packets until a time."""
    sizes, now = [], 0
    while now < until and lead_in.hearing is Hearing.UNPROVEN:
        if size := lead_in.next_size(now):
            sizes.append(size)
        now += MS
    return sizes


def judged(lead_in: LeadIn, reports: Iterable[tuple[int, int]]) -> Hearing:
    """Result after Status PDUs of (packets, payload bytes)."""
    for packets, payload in reports:
        lead_in.status(Status(sequence=1, datagrams=packets, payload_bytes=payload))
    return lead_in.hearing


@pytest.mark.parametrize(("reports", "result"), [
    (lambda s: [(1, one) for one in s[:3]], Hearing.UNPROVEN),
    (lambda s: [(1, one) for one in s[:4]], Hearing.PROVEN),
    (lambda s: [(2, sum(s[:2])), (1, s[2]), (0, 0), (1, s[3]), (1, s[4])], Hearing.PROVEN),
    # Three packets are lost, and a Status that spans one of them is wrong.
    (lambda s: [(1, s[0]), (1, s[3]), (2, s[4] + s[6]), (1, s[5]), (1, s[7])], Hearing.PROVEN),
    (lambda s: [(1, s[0])] * 5, Hearing.REFUTED),
    (lambda s: [(1, one) for one in reversed(s)], Hearing.REFUTED),
    (lambda s: [(1, 0)] * 4, Hearing.REFUTED),
    (lambda s: [(2**32 - 1, 2**32 - 1)] * 4, Hearing.REFUTED),
    # What came before a proof was refuted counts for nothing afterwards.
    (lambda s: [(1, 0)] * 4 + [(1, one) for one in s[:4]], Hearing.REFUTED),
])  # fmt: skip
def test_four_right_reports_prove_and_four_wrong_ones_refute(
    reports: Callable[[list[int]], list[tuple[int, int]]], result: Hearing
) -> None:
    lead_in = LeadIn(0)
    sizes = sent(lead_in, 5 * S // 2)
    assert judged(lead_in, reports(sizes)) is result


def test_a_lead_in_is_short_and_ends_by_itself() -> None:
    lead_in = LeadIn(0, planned=range(SMALLEST_BYTES, SMALLEST_BYTES + SIZES - 1))
    sizes = sent(lead_in, 10 * S)
    assert lead_in.hearing is Hearing.REFUTED
    assert set(sizes) == {SMALLEST_BYTES + SIZES - 1}, "the sizes of the load are left out"
    assert 6 < len(sizes) == lead_in.packets < 12


def test_guesses_do_not_prove() -> None:
    """Each size is right once in 1,024 tries; four packets wait for their report."""
    chance = random.Random(1)
    results = []
    for _ in range(20_000):
        lead_in = LeadIn(0)
        for now in (0, 60 * MS, 120 * MS, 180 * MS):
            lead_in.next_size(now)
        results.append(judged(lead_in, [(1, SMALLEST_BYTES + chance.randrange(SIZES)) for _ in range(7)]))
    assert set(results) == {Hearing.REFUTED}


def test_an_unproven_client_gets_as_many_status_bytes_as_it_sent() -> None:
    budget = StatusBudget()
    allowed = 0
    for number in range(1000):
        if number % 10 == 0:
            budget.received(60, (0, number))
        if budget.allows(STATUS_IP_BYTES):
            budget.sent(STATUS_IP_BYTES, (5, number))
            allowed += STATUS_IP_BYTES
    assert allowed <= 60 * 100 + STATUS_IP_BYTES
    budget.received(60, (5, 999))  # of a Status that was never sent
    assert budget.hearing is Hearing.UNPROVEN
    budget.received(60, (5, 0))
    assert (budget.hearing, budget.allows(STATUS_IP_BYTES)) == (Hearing.PROVEN, True)


def forged(direction: Direction, *, row: int = 20) -> ServerTest:
    """Test of a key holder who wrote another's address into set-up and activation, and guessed the port."""
    up = direction is Direction.UP
    test = ServerTest(Offer(setup(bandwidth_mbps=row, upstream=up), KEYS, CLIENT), Limits(), 0)
    command = pdu.UPSTREAM if up else pdu.DOWNSTREAM
    request = Activation(command=command, row=row, test_s=60, trial_interval=5, auth_time=WALL // S, key_id=7)
    test.receive(signed(request), CLIENT, MS, WALL)
    return test


def bystander_bytes(test: ServerTest, packets: Callable[[int], bytes | None]) -> int:
    """IP-layer bytes sent to the forged address while ``packets`` arrive, one each 5 ms at most."""
    buffer, now = bytearray(70_000), 2 * MS
    while not test.finished:
        assert now < 70 * S, "the test does not end"
        if (packet := packets(now)) is not None:
            test.receive(packet, CLIENT, now, WALL + now)
        while not test.finished and test.transmit(buffer, now, WALL + now):
            pass
        now += 5 * MS
    return test.bytes_sent


def forged_status(now: int) -> bytes:
    size = SMALLEST_BYTES + now // MS % SIZES
    return Status(sequence=now // MS, datagrams=1, payload_bytes=size).pack()


@pytest.mark.parametrize("packets", [lambda _: None, forged_status])
def test_a_bystander_gets_no_load(packets: Callable[[int], bytes | None]) -> None:
    test = forged(Direction.DOWN)
    assert bystander_bytes(test, packets) < 10_000
    assert (test.outcome, test.heard, test.load_packets) == (ServerOutcome.UNHEARD, False, 0)


@pytest.mark.parametrize("every_ms", [5, 2000])
def test_a_bystander_gets_no_more_status_bytes_than_its_forger_sent(every_ms: int) -> None:
    test = forged(Direction.UP)

    def load(now: int) -> bytes | None:
        if now // MS % every_ms > 4 or now > 30 * S:
            return None
        # The echoed time is a guess: the forger does not see the Status.
        return pdu.LOAD_HEADER.pack(pdu.LOAD_ID, 0, 0, now // MS, 32, 0, WALL // S, now % S + 7, 0, 0, 0, 0)

    assert bystander_bytes(test, load) <= test.bytes_received + 3 * STATUS_IP_BYTES
    assert not test.heard


@pytest.mark.parametrize("delay_ms", [1, 10, 520, 900])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_client_proves_itself_at_any_round_trip_time(direction: Direction, delay_ms: float) -> None:
    world = World()
    for way in (world.up, world.down):
        way.delay_ms = delay_ms
    report = world.run(plan_for(direction, seconds=3))
    assert (report.ending, report.received_packets) == (Ending.COMPLETED, 3000)
    assert world.test.heard


@pytest.mark.parametrize("direction", list(Direction))
def test_a_lossy_line_proves_itself(direction: Direction) -> None:
    """Control messages arrive: each of them is lost without a second try (RFC 9946 section 6.1)."""
    ended = []
    for seed in range(20):
        world = World()
        for way in (world.up, world.down):
            way.seed = seed
            way.randomness.seed(seed)
            way.drops = (
                lambda packet, _now, way=way: (  # type: ignore[misc]
                    packet[:1] != b"\xac" and way.randomness.random() < 0.1
                )
            )
        ended.append(world.run(plan_for(direction)).ending)
    assert ended.count(Ending.COMPLETED) == 20


@pytest.mark.parametrize("direction", list(Direction))
def test_a_search_proves_itself(direction: Direction) -> None:
    world = World()
    report = world.run(plan_for(direction, row=100, seconds=2, search=Search(algorithm=Algorithm.C)))
    assert report.ending is Ending.COMPLETED
    assert world.test.heard
