"""Proof of hearing: clients that receive, clients that guess, and the bytes that a bystander gets."""

import random
from collections.abc import Callable
from itertools import combinations

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


def report(lead_in: LeadIn, packets: int, payload_bytes: int, now: int = 0) -> Hearing:
    """Give a Status PDU to the lead-in."""
    return lead_in.status(Status(sequence=1, datagrams=packets, payload_bytes=payload_bytes), now)


def heard(packets: int) -> tuple[LeadIn, list[int]]:
    """Lead-in whose client reports nothing of it yet, and the sizes of its packets."""
    while True:
        lead_in, sizes, now = LeadIn(0), list[int](), 0
        while len(sizes) < packets:
            if size := lead_in.next_size(now):
                sizes.append(size)
            if len(sizes) >= 2:
                report(lead_in, 0, 0, now)
            now += 10 * MS
        # Sizes are random: a wrong report must not be right by chance.
        pairs = [sum(pair) for pair in combinations(sizes, 2)]
        if len({*sizes}) == packets and len({*pairs}) == len(pairs):
            return lead_in, sizes


@pytest.mark.parametrize(("reports", "result"), [
    (lambda s: [(1, s[0]), (1, s[1]), (1, s[2]), (1, s[3]), (1, s[4])], Hearing.UNPROVEN),
    (lambda s: [(2, s[0] + s[1]), *((1, one) for one in s[2:6])], Hearing.PROVEN),
    (lambda s: [(3, sum(s[:3])), (1, s[3]), (0, 0), (1, s[4]), (1, s[5])], Hearing.PROVEN),
    # Packets are lost, and a Status that spans one of them is wrong.
    (lambda s: [(1, s[0]), (1, s[2]), (2, s[3] + s[5]), (1, s[3]), (1, s[4]), (1, s[5])], Hearing.PROVEN),
    (lambda s: [(1, s[2])] * 5, Hearing.REFUTED),
    (lambda s: [(1, one) for one in reversed(s)], Hearing.REFUTED),
    (lambda _: [(1, 0)] * 4, Hearing.REFUTED),
    (lambda _: [(2**32 - 1, 2**32 - 1)] * 4, Hearing.REFUTED),
    # What comes after a proof was refuted counts for nothing.
    (lambda s: [(1, 0)] * 4 + [(1, one) for one in s[2:]], Hearing.REFUTED),
])  # fmt: skip
def test_four_right_reports_prove_and_four_wrong_ones_refute(
    reports: Callable[[list[int]], list[tuple[int, int]]], result: Hearing
) -> None:
    lead_in, sizes = heard(6)
    for packets, payload_bytes in reports(sizes):
        report(lead_in, packets, payload_bytes)
    assert lead_in.hearing is result


def test_a_lead_in_that_nobody_hears_is_two_small_packets() -> None:
    lead_in = LeadIn(0)
    sizes = [size for now in range(0, 10 * S, MS) if (size := lead_in.next_size(now))]
    assert lead_in.hearing is Hearing.REFUTED
    assert len(sizes) == lead_in.packets == 2
    # The answer to the activation has cost as much as the activation already.
    assert sum(sizes) + 2 * 28 <= 132


def test_sizes_of_the_load_are_left_out() -> None:
    lead_in = LeadIn(0, planned=range(SMALLEST_BYTES, SMALLEST_BYTES + 5))
    assert lead_in.next_size(0) == SMALLEST_BYTES + 5


def test_guesses_do_not_prove_and_bring_no_more_than_twice_their_bytes() -> None:
    chance = random.Random(1)
    results = set()
    for _ in range(3_000):
        lead_in, now, arrived = LeadIn(0), 0, 132
        while lead_in.hearing is Hearing.UNPROVEN:
            now += 20 * MS
            lead_in.next_size(now)
            # Empty ones first, so that as many packets as possible wait for their report.
            report(lead_in, int(now > S), SMALLEST_BYTES + chance.randrange(SIZES), now)
            arrived += STATUS_IP_BYTES
        assert lead_in.payload_bytes + 28 * lead_in.packets + 132 <= 2 * arrived
        assert lead_in.packets <= 8
        results.add(lead_in.hearing)
    assert results == {Hearing.REFUTED}


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
    # The set-up brought 160 bytes for its 84.
    assert bystander_bytes(test, packets) <= 2 * test.bytes_received
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


@pytest.mark.parametrize("delay_ms", [1, 10, 520, 950])
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
