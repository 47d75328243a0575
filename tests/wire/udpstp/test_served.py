"""Counts of a load at the server, beside those at the client and the truth of the link."""

import random
from typing import Any

import pytest

from tests.wire.udpstp.simulation import MS, S, Way, World, plan_for
from wire.records import Direction
from wire.udpstp import pdu
from wire.udpstp.ends.series import FeedbackCounter
from wire.udpstp.load import LoadReport, Search
from wire.udpstp.load_counts import LoadCounts
from wire.udpstp.server import ServerTest

BOTH = pytest.mark.parametrize("direction", list(Direction))


def both_sides(
    direction: Direction, world: World | None = None, *, cancel_at: int | None = None, seconds: int = 2,
    **plan: Any,
) -> tuple[LoadReport, LoadCounts, ServerTest]:  # fmt: skip
    world = world or World()
    report = world.run(plan_for(direction, seconds=seconds, **plan), cancel_at=cancel_at)
    return report, world.test.counts, world.test


@BOTH
def test_on_a_clean_link_both_ends_count_the_same(direction: Direction) -> None:
    report, counts, test = both_sides(direction)
    assert counts.received_packets == report.received_packets > 500
    assert counts.received_ip_bytes == report.received_ip_bytes
    assert counts.sent_packets == report.sent_packets
    assert counts.sent_ip_bytes == (report.sent_ip_bytes if direction is Direction.DOWN else None)
    assert (counts.lost, report.lost) == (0, 0)
    assert counts.span_us == (report.sent_packets - 1) * 1000
    assert 0 < test.activated[0] < 100 * MS


@BOTH
def test_after_a_cancel_both_ends_agree_to_within_a_round_trip(direction: Direction) -> None:
    report, counts, _ = both_sides(direction, cancel_at=1100 * MS)
    assert counts.received_packets == pytest.approx(report.received_packets, abs=21)
    assert counts.sent_packets == report.sent_packets > 600


@BOTH
def test_both_ends_agree_on_loss_in_both_directions(direction: Direction) -> None:
    """Status PDUs are lost, too: the sub-interval repeats their counts."""
    world = World(up=Way(loss=0.05, seed=3), down=Way(loss=0.05, seed=4))
    report, counts, _ = both_sides(direction, world, seconds=3)
    assert report.received_packets < 0.97 * report.sent_packets
    assert counts.received_packets == pytest.approx(report.received_packets, abs=100)
    assert counts.received_packets >= 0.98 * report.received_packets
    assert counts.lost == pytest.approx(report.lost, rel=0.15)
    assert counts.sent_packets == pytest.approx(report.sent_packets, abs=5)


@BOTH
def test_both_ends_agree_on_the_rate_of_a_search(direction: Direction) -> None:
    world = World(up=Way(rate=6e6), down=Way(rate=6e6))
    report, counts, test = both_sides(direction, world, seconds=5, search=Search())
    assert test.searches
    assert counts.received_ip_bytes * 8e6 / counts.span_us == pytest.approx(report.received_bps, rel=0.05)


def test_both_ends_agree_on_a_search_whose_packets_grow() -> None:
    """From row 0 on packets are small; the ones that a full queue drops are the large ones."""
    world = World(up=Way(delay_ms=27), down=Way(rate=4e6, queue_ms=60, delay_ms=27))
    report, counts, _ = both_sides(Direction.DOWN, world, seconds=10, search=Search(), row=100)
    assert report.lost > 0.1 * report.sent_packets
    assert report.sent_bps == pytest.approx(counts.sent_ip_bytes * 8e6 / counts.span_us, rel=0.02)


@BOTH
def test_before_any_load_there_are_no_counts(direction: Direction) -> None:
    world = World()
    world.way(direction).drops = lambda packet, _now: packet[:2] == b"\xbe\xef"
    report, counts, _ = both_sides(direction, world)
    assert report.received_packets == 0
    assert not counts.received_packets
    assert not counts.lost


@pytest.mark.parametrize("seed", range(20))
def test_reordered_and_duplicated_feedback_adds_up_to_the_packets_received(seed: int) -> None:
    chance = random.Random(seed)
    statuses = list(_statuses(intervals=200, every=20, packets=50))
    late = sorted(range(len(statuses)), key=lambda index: index + chance.uniform(0, 12))
    totals = FeedbackCounter()
    for index in late:
        totals.add(statuses[index])
        if chance.random() < 0.1:
            totals.add(statuses[max(0, index - chance.randrange(60))])
    found = totals.totals()
    assert (found.datagrams, found.complete, found.first_known) == (200 * 50, True, True)
    assert found.payload_bytes == 200 * 50 * 972


def test_feedback_of_an_hour_keeps_little() -> None:
    totals = FeedbackCounter()
    for status in _statuses(intervals=72_000, every=20, packets=50):
        totals.add(status)
    assert totals.totals().datagrams == 72_000 * 50
    assert len(totals._statuses) < 100


def _statuses(*, intervals: int, every: int, packets: int) -> "list[pdu.Status]":
    """Status PDUs as ``LoadReceiver`` builds them: sub-intervals of ``every`` begin with the first one."""
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
