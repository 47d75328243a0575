"""Clock correction by value: trusted clocks, corrected times, and their errors."""

import pytest
from msgspec.structs import replace

from collector.model.clock_correction import (
    BEHIND_US,
    DELIVERY_US,
    RETENTION_US,
    Anchor,
    AnchorSource,
    CorrectedTime,
    NeighbourBound,
    anchor_from_envelope,
    anchor_from_neighbours,
    anchor_from_record,
    correct,
    should_redate,
    should_replace,
)
from collector.model.observation import AHEAD_US
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, clock, stamp
from wire.records import ClockChange, ClockMeasurement, ClockReading, ClockValues, Outcome, Purpose

YEAR_US = 365 * 86_400_000_000


def unset(boot_s: int, wall_s: int | None = None, boot_id: str = "boot-1") -> ClockReading:
    """Reading of a clock that was never set: at 1970 plus the uptime, or at ``wall_s``."""
    wall_us = (boot_s if wall_s is None else wall_s) * 1_000_000
    return ClockReading(wall_us=wall_us, boot_us=boot_s * 1_000_000, boot_id=boot_id, synchronised=False)


def test_a_synchronised_clock_is_trusted_within_its_own_error() -> None:
    start = replace(clock(NOW_US - 7), max_error_us=1500)
    found = correct(start, clock(NOW_US + 1_000_000), received_us=NOW_US + 2_000_000)
    assert found == CorrectedTime(NOW_US - 7, 0, ahead=False, error_us=1500, trusted=True)


def test_a_clock_from_the_past_is_corrected_by_its_boot_time() -> None:
    found = correct(unset(30), unset(90), NOW_US)
    expected_us = NOW_US - 60_000_000
    assert found[:4] == (expected_us, 30_000_000 - expected_us, False, False)
    assert found.error_us == DELIVERY_US + 60_000_000 // 10_000


def test_an_anchor_is_preferred_to_the_arrival() -> None:
    anchor = Anchor(NOW_US - 95_000_000, 2000, 50_000_000, AnchorSource.SYNCHRONISED)
    found = correct(unset(30), unset(90), NOW_US, anchor)
    assert (found.time_us, found.error_us) == (NOW_US - 65_000_000, 2000 + 2000)


@pytest.mark.parametrize("boot_id", ["boot-1", "boot-2"])
def test_a_time_that_cannot_be_corrected_keeps_its_claim_and_has_no_error(boot_id: str) -> None:
    start = clock(NOW_US - 5, synchronised=False, boot_id=boot_id)
    sent = clock(NOW_US - (10 if boot_id == "boot-1" else 0))
    assert correct(start, sent, NOW_US) == CorrectedTime(NOW_US - 5, 0, ahead=False)


@pytest.mark.parametrize(("beyond_us", "ahead"), [(0, False), (1, True), (YEAR_US, True)])
def test_a_claim_of_more_than_five_minutes_ahead_is_marked(beyond_us: int, ahead: bool) -> None:
    start = clock(NOW_US + AHEAD_US + beyond_us, boot_id="boot-0")
    assert correct(start, clock(), NOW_US).ahead is ahead


@pytest.mark.parametrize(("before_us", "outdated"), [(0, False), (1, True), (40 * YEAR_US, True)])
def test_a_claim_older_than_the_retention_is_marked(before_us: int, outdated: bool) -> None:
    start = clock(NOW_US - RETENTION_US - before_us, boot_id="boot-0")
    assert correct(start, clock(), NOW_US).outdated is outdated


@pytest.mark.parametrize("off_us", [20 * HOUR_US, 10 * YEAR_US, -10 * YEAR_US, -BEHIND_US - MINUTE_US])
def test_a_wrong_clock_that_claims_to_be_synchronised_is_corrected(off_us: int) -> None:
    sent = clock(NOW_US)
    start = replace(clock(NOW_US - MINUTE_US), wall_us=NOW_US - MINUTE_US + off_us, max_error_us=10)
    for sender in (sent, replace(sent, wall_us=NOW_US + off_us)):
        found = correct(start, sender, NOW_US)
        assert (found.time_us, found.clock_offset_us, found.trusted) == (NOW_US - MINUTE_US, off_us, False)
        assert found.error_us == DELIVERY_US + 6000
    assert anchor_from_envelope(replace(sent, wall_us=NOW_US + off_us), NOW_US).source is AnchorSource.ARRIVAL


def test_a_clock_is_trusted_after_a_delivery_of_days() -> None:
    late_us = NOW_US + 3 * 86_400_000_000
    assert correct(clock(NOW_US - 5), clock(NOW_US), late_us).trusted


def test_a_reading_from_before_the_clock_was_set_wrong_is_trusted() -> None:
    sent = replace(clock(NOW_US, synchronised=False), wall_us=NOW_US - 10 * YEAR_US)
    assert correct(clock(NOW_US - MINUTE_US), sent, NOW_US).trusted


def test_the_arrival_with_the_shortest_delivery_is_kept_and_follows_the_drift() -> None:
    def arrival(delay_s: float, at_s: float) -> Anchor:
        return anchor_from_envelope(unset(round(at_s)), NOW_US + round((at_s + delay_s) * 1e6))

    known = arrival(5, 100)
    assert should_replace(arrival(1, 160), known)
    assert not should_replace(arrival(4.5, 160), known), "half a second sooner is not worth a new anchor"
    assert not should_replace(arrival(30, 160), known)
    assert not should_replace(arrival(30, 100 + 7200), known), "an hour later, but slower than drift explains"
    assert should_replace(arrival(5.1, 100 + 7200), known), "as quick as drift explains, an hour later"


def test_a_clock_reading_replaces_an_arrival_and_not_the_reverse() -> None:
    arrived = anchor_from_envelope(unset(100), NOW_US)
    start = replace(clock(NOW_US - 5), max_error_us=20_000)
    sure = anchor_from_record(stamp(1, start=start), clock(NOW_US), NOW_US)
    assert sure is not None
    assert should_replace(sure, arrived)
    assert should_redate(sure, arrived)
    assert not should_replace(arrived, sure)
    later = sure._replace(at_us=sure.at_us + 30 * 86_400_000_000)
    assert should_replace(later, sure)
    assert not should_redate(later, sure), "measurements dated by the first have the same error by the second"
    assert not should_replace(sure._replace(at_us=sure.at_us + MINUTE_US), sure), "not worth a row"


def test_a_peers_time_is_an_anchor_unless_it_is_not_credible() -> None:
    def by_peer(offset_us: int) -> ClockMeasurement:
        peer = {"peer_offset_us": offset_us, "peer_error_us": 900, "peer_boot_us": 40_000_000}
        values = ClockValues(change=ClockChange.PEER, offset_us=0, **peer)
        return ClockMeasurement(epoch="0" * 16, seq=1, peer="p", start=unset(50), duration_us=0,
                                outcome=Outcome.OK, purpose=Purpose.EVENT, values=values)  # fmt: skip

    true_us = NOW_US - 90_000_000
    expected = Anchor(true_us, 900, 40_000_000, AnchorSource.PEER)
    assert anchor_from_record(by_peer(true_us), unset(90), NOW_US) == expected
    assert anchor_from_record(by_peer(true_us + YEAR_US), unset(90), NOW_US) is None
    assert anchor_from_record(by_peer(true_us - YEAR_US), unset(90), NOW_US) is None


def test_a_boot_between_two_others_is_bounded_by_them() -> None:
    found = anchor_from_neighbours(
        10, 50_010, NeighbourBound(1_000_000, 1000), NeighbourBound(3_000_000, 2000)
    )
    assert found is not None
    least, most = 1_000_000 - 1000, 3_000_000 + 2000 - 50_010
    assert found.offset_us - found.error_us <= least
    assert found.offset_us + found.error_us >= most
    assert found.error_us <= (most - least) // 2 + 1 + 5
    assert found.source is AnchorSource.NEIGHBOURS


def test_missing_or_contradicting_neighbours_give_no_anchor() -> None:
    assert anchor_from_neighbours(0, 10, None, NeighbourBound(NOW_US, 0)) is None
    assert anchor_from_neighbours(0, 10, NeighbourBound(NOW_US, 0), NeighbourBound(NOW_US - 1000, 0)) is None
