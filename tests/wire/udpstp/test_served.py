"""What the server says of a test's load, against what the client says of the same and what the link did."""

import random

import pytest

from tests.wire.udpstp.simulation import MS, SERVER, S, Way, World
from wire.records import Direction
from wire.udpstp import pdu
from wire.udpstp.feedback import FeedbackTotals
from wire.udpstp.load import LoadReport
from wire.udpstp.plan import Plan, Search
from wire.udpstp.served import LoadCounts
from wire.udpstp.server import ServerTest

BOTH = pytest.mark.parametrize("direction", list(Direction))


def both_sides(
    direction: Direction, world: World | None = None, *, seconds: int = 2, search: Search | None = None,
    cancel_at: int | None = None, row: int = 8,
) -> tuple[LoadReport, LoadCounts, ServerTest]:  # fmt: skip
    world = world or World()
    report = world.run(
        Plan(
            address=SERVER, ident=0x1234, key_id=7, secret=b"secret", direction=direction, row=row,
            duration_s=seconds, search=search,
        ),
        cancel_at=cancel_at,
    )  # fmt: skip
    assert world.test is not None
    return report, world.test.counts, world.test


@BOTH
def test_on_a_clean_link_both_sides_count_the_same(direction: Direction) -> None:
    report, counts, test = both_sides(direction)
    assert counts.received_packets == report.received_packets > 500
    assert counts.received_ip_bytes == report.received_ip_bytes
    assert counts.sent_packets == report.sent_packets
    assert counts.sent_ip_bytes == (report.sent_ip_bytes if direction is Direction.DOWN else None)
    assert (counts.lost, report.lost) == (0, 0)
    assert counts.span_us == (report.sent_packets - 1) * 1000
    assert test.activated is not None
    assert 0 < test.activated[0] < 100 * MS


@BOTH
def test_of_a_test_given_up_both_sides_tell_all_but_a_round_trip(direction: Direction) -> None:
    report, counts, _ = both_sides(direction, cancel_at=700 * MS)
    assert counts.received_packets == pytest.approx(report.received_packets, abs=21)
    assert counts.sent_packets == report.sent_packets > 600


@BOTH
def test_loss_on_both_ways_is_told_alike(direction: Direction) -> None:
    """Status PDUs are lost, too: what they held is told again by the sub-interval it belongs to."""
    world = World(up=Way(loss=0.05, seed=3), down=Way(loss=0.05, seed=4))
    report, counts, _ = both_sides(direction, world, seconds=5)
    assert counts.received_packets is not None
    assert report.received_packets < 0.97 * report.sent_packets
    assert counts.received_packets == pytest.approx(report.received_packets, abs=100)
    assert counts.received_packets >= 0.98 * report.received_packets
    assert counts.lost == pytest.approx(report.lost, rel=0.15)
    assert counts.sent_packets == pytest.approx(report.sent_packets, abs=5)


@BOTH
def test_of_a_search_both_sides_tell_the_same_rate(direction: Direction) -> None:
    world = World(up=Way(rate=6e6), down=Way(rate=6e6))
    report, counts, test = both_sides(direction, world, seconds=5, search=Search())
    assert test.searches
    assert counts.span_us
    assert counts.received_ip_bytes is not None
    assert counts.received_ip_bytes * 8e6 / counts.span_us == pytest.approx(report.received_bps, rel=0.05)


def test_a_search_into_a_short_queue_is_told_alike_although_its_packets_grow() -> None:
    """From row 0 on packets are small; those that a full queue drops are the large ones."""
    world = World(up=Way(delay_ms=27), down=Way(rate=4e6, queue_ms=60, delay_ms=27))
    report, counts, _ = both_sides(Direction.DOWN, world, seconds=10, search=Search(), row=100)
    assert report.lost > 0.1 * report.sent_packets
    assert counts.span_us
    assert counts.sent_ip_bytes is not None
    assert report.sent_bps == pytest.approx(counts.sent_ip_bytes * 8e6 / counts.span_us, rel=0.02)


@BOTH
def test_before_any_load_nothing_is_told(direction: Direction) -> None:
    world = World()
    loaded = world.up if direction is Direction.UP else world.down
    loaded.drops = lambda packet, _now: packet[:2] == b"\xbe\xef"
    report, counts, _ = both_sides(direction, world)
    assert report.received_packets == 0
    assert not counts.received_packets
    assert not counts.lost


@pytest.mark.parametrize("seed", range(20))
def test_reordered_and_repeated_feedback_adds_up_to_what_was_received(seed: int) -> None:
    chance = random.Random(seed)
    statuses = list(_statuses(intervals=200, every=20, packets=50))
    late = sorted(range(len(statuses)), key=lambda index: index + chance.uniform(0, 12))
    totals = FeedbackTotals()
    for index in late:
        totals.add(statuses[index])
        if chance.random() < 0.1:
            totals.add(statuses[max(0, index - chance.randrange(60))])
    told = totals.totals()
    assert (told.datagrams, told.complete, told.first_known) == (200 * 50, True, True)
    assert told.payload_bytes == 200 * 50 * 972


def test_feedback_of_an_hour_keeps_little() -> None:
    totals = FeedbackTotals()
    for status in _statuses(intervals=72_000, every=20, packets=50):
        totals.add(status)
    assert totals.totals().datagrams == 72_000 * 50
    assert len(totals._statuses) < 100


def _statuses(*, intervals: int, every: int, packets: int) -> "list[pdu.Status]":
    """As ``LoadReceiver`` makes them: sub-intervals of ``every`` begin with the first Status."""
    made, finished, number = [], pdu.NO_SUB_INTERVAL, 0
    for sequence in range(1, intervals + 1):
        made.append(
            pdu.Status(
                sequence=sequence, sub_interval_number=number, sub_interval=finished, datagrams=packets,
                payload_bytes=packets * 972,
            )
        )  # fmt: skip
        if sequence > 1 and (sequence - 1) % every == 0:
            number += 1
            finished = pdu.SubInterval(
                datagrams=every * packets, payload_bytes=every * packets * 972, duration_us=S // 1000
            )
    return made
