"""Outages merged from agents' records, and their effect on live state."""

from itertools import permutations

import msgspec
import pytest

from collector.incidents.correlation import SiteOutage, SitePlace
from collector.incidents.site_outages import open_outage, place_of, site_outages
from collector.kinds.views import observe
from collector.live.blackout import GRACE_US
from collector.live.fleet import Fleet
from collector.live.site_state import LiveSite, SiteState, next_change_us, silent_from_us, state_of
from collector.model.inventory import Site
from collector.model.observation import AHEAD_US, Observation
from collector.model.outages import MAX_KEPT, Outage, newest_reports, outage_of
from tests.collector.examples import (
    BOOT_US,
    HOUR_US,
    MINUTE_US,
    NOW_US,
    SITE,
    clock,
    failed,
    floor,
    outage,
    seen,
    stamp,
)
from wire.records import Cause, ClockReading, Failure, Measurement

INVENTORY = {SITE: Site(SITE, "Lycée", departement="63", pop="pop-1")}
BEGIN_US, END_US = NOW_US - 20 * MINUTE_US, NOW_US - 9 * MINUTE_US


def reported(record: Measurement, order: int = 1) -> Outage:
    found = outage_of(seen(record, order))
    assert found is not None
    return found


def site(*records: Measurement, received_us: int | None = None) -> LiveSite:
    made = Fleet(INVENTORY)
    came = [seen(record, order, received_us=received_us) for order, record in enumerate(records)]
    made.learn(came, NOW_US)
    found = made.get(SITE)
    assert found is not None
    return found


def outages_of(found: LiveSite, now_us: int = NOW_US) -> tuple[SiteOutage, ...]:
    return site_outages(found, state_of(found, now_us), place_of(found, now_us), now_us)


def test_begin_and_end_merge_into_one_outage_in_any_order() -> None:
    reports = [
        reported(outage(1, BEGIN_US, cause=Cause.UNKNOWN), 1),
        reported(outage(2, BEGIN_US, END_US, cause=Cause.ACCESS), 2),
        reported(outage(3, END_US, cause=Cause.PEER, name="outage-2"), 3),
    ]
    for order in permutations(reports):
        first, second = newest_reports(order)
        assert (first.begin_us, first.end_us, first.cause) == (BEGIN_US, END_US, Cause.ACCESS)
        assert (second.begin_us, second.end_us, second.cause) == (END_US, None, Cause.PEER)


def test_a_report_of_the_end_is_enough_for_an_outage() -> None:
    (found,) = newest_reports([reported(outage(2, BEGIN_US, END_US))])
    assert (found.begin_us, found.lasted_us, found.peer) == (BEGIN_US, 11 * MINUTE_US, "pop-1")


def test_of_two_reports_without_an_end_the_later_wins() -> None:
    early, late = outage(1, BEGIN_US, cause=Cause.UNKNOWN), outage(2, BEGIN_US, cause=Cause.BEYOND)
    late = msgspec.structs.replace(late, start=clock(END_US))
    assert [found.cause for found in newest_reports([reported(late), reported(early, 2)])] == [Cause.BEYOND]


def at_time(record: Measurement, time_us: int) -> Outage:
    made = observe(SITE, record, time_us=time_us, order=1, received_us=NOW_US)
    found = outage_of(made)
    assert found is not None
    return found


def test_moments_are_corrected_with_their_measurement() -> None:
    """CLOCK_BOOTTIME gives the time from begin to end, even if the clock is ten years behind."""
    wrong_us = NOW_US - 10 * 365 * 24 * HOUR_US
    record = outage(1, BEGIN_US, END_US)
    values = msgspec.structs.replace(record.values, begin=moment(record.values.begin, wrong_us))
    record = msgspec.structs.replace(record, start=moment(clock(END_US), wrong_us), values=values)
    found = at_time(record, END_US)
    assert (found.begin_us, found.end_us) == (BEGIN_US, END_US)


@pytest.mark.parametrize("wrong_us", [0, 2**53 - 1])
def test_impossible_moments_are_bounded_by_the_report(wrong_us: int) -> None:
    record = outage(1, BEGIN_US, END_US)
    for boot_id in ("boot-0", "boot-1"):
        never = ClockReading(wall_us=wrong_us, boot_us=wrong_us, boot_id=boot_id, synchronised=True)
        values = msgspec.structs.replace(record.values, begin=never, end=never)
        found = at_time(msgspec.structs.replace(record, values=values), END_US)
        assert 0 <= found.begin_us <= END_US + AHEAD_US
        assert found.end_us is not None
        assert 0 <= found.end_us <= END_US + AHEAD_US


def moment(reading: ClockReading, wall_us: int) -> ClockReading:
    return msgspec.structs.replace(reading, wall_us=wall_us, synchronised=False)


def test_a_begin_in_an_earlier_boot_keeps_its_clock_and_is_never_after_the_report() -> None:
    record = outage(1, BEGIN_US, END_US)
    for wall_us, begin_us in ((BEGIN_US - 7, BEGIN_US - 7), (NOW_US + HOUR_US, END_US)):
        before = clock(wall_us, boot_id="boot-0")
        values = msgspec.structs.replace(record.values, begin=before)
        found = at_time(msgspec.structs.replace(record, values=values), END_US)
        assert (found.begin_us, found.end_us) == (begin_us, END_US)
    assert BOOT_US  # the boots differ in nothing else


def test_live_state_keeps_the_newest_outages_of_a_site_that_flaps() -> None:
    flaps = [outage(number, NOW_US - number, name=f"o{number}") for number in range(1, MAX_KEPT + 9)]
    found = site(*flaps)
    assert set(found.outages.known) == {f"o{number}" for number in range(1, MAX_KEPT + 1)}


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([outage(1, BEGIN_US)], Cause.ACCESS),
        ([outage(1, BEGIN_US), outage(2, BEGIN_US, END_US)], None),
        ([outage(1, BEGIN_US), failed(2, END_US)], Cause.ACCESS),
        ([stamp(2, BEGIN_US - 1), outage(1, BEGIN_US)], Cause.ACCESS),
        ([stamp(2, END_US), outage(1, BEGIN_US)], None),  # no reported end; a later success ends it
        ([outage(1, BEGIN_US, cause=Cause.BROKER)], None),  # its report arrived, so the broker works again
        ([outage(1, BEGIN_US, cause=Cause.COLLECTOR)], None),
        ([stamp(2, END_US), outage(1, BEGIN_US, cause=Cause.DNS)], Cause.DNS),  # trains need no resolver
        ([outage(1, BEGIN_US, cause=Cause.DNS), outage(2, BEGIN_US, END_US, cause=Cause.DNS)], None),
        ([outage(1, BEGIN_US, cause=Cause.AGENT)], Cause.AGENT),
        ([outage(1, BEGIN_US, cause=Cause.AGENT), failed(2, END_US)], None),
        ([outage(1, BEGIN_US), outage(2, END_US, cause=Cause.PEER, name="o2")], Cause.PEER),
    ],
)
def test_open_outage_of_a_site(records: list[Measurement], expected: Cause | None) -> None:
    found = open_outage(site(*records))
    assert (found and found.cause) == expected


def test_an_outage_without_a_reported_end_lasts_until_its_report() -> None:
    (found,) = outages_of(site(outage(1, BEGIN_US), stamp(2)))
    assert (found.begin_us, found.end_us, found.cause) == (BEGIN_US, BEGIN_US, Cause.ACCESS)


def test_a_site_without_its_resolver_is_in_no_incident() -> None:
    found = site(outage(1, BEGIN_US, cause=Cause.DNS))
    assert outages_of(found) == ()
    assert [one.cause for one in outages_of(site(outage(1, BEGIN_US)))] == [Cause.ACCESS]


EVENTS = [outage(8, NOW_US - 1), outage(9, NOW_US - 1, NOW_US, name="o2")]


@pytest.mark.parametrize("records", [
    [],
    [stamp(1, NOW_US - 3 * MINUTE_US)],
    [stamp(1, NOW_US - 9 * MINUTE_US)],
    [floor(1, NOW_US - 2 * HOUR_US)],
    [stamp(1, NOW_US - 2 * HOUR_US), floor(2, NOW_US - HOUR_US)],
])  # fmt: skip
def test_records_of_changes_do_not_affect_silence(records: list[Measurement]) -> None:
    quiet, with_events = site(*records), site(*records, *EVENTS)
    assert with_events.newest_us == quiet.newest_us
    assert silent_from_us(with_events) == silent_from_us(quiet)
    for now_us in (NOW_US, NOW_US + 10 * HOUR_US):
        assert state_of(with_events, now_us) is state_of(quiet, now_us)


def test_outages_are_counted_when_their_end_is_reported_in_time() -> None:
    found = site(outage(1, BEGIN_US), outage(2, BEGIN_US, END_US))
    assert found.counters.totals["qos_outages_total"] == {',cause="access-line"': 1}
    assert found.counters.totals["qos_outage_seconds_total"] == {',cause="access-line"': 11 * MINUTE_US}
    late = site(outage(1, BEGIN_US), outage(2, BEGIN_US, END_US), received_us=END_US + 4 * HOUR_US)
    assert (late.counters.totals, late.counters.late) == ({}, {"reachability": 2})


def silent_states(found: LiveSite) -> list[SiteState]:
    return [state_of(found, NOW_US + minute * MINUTE_US) for minute in (4, 6, 11, 16)]


def test_no_site_becomes_silent_in_a_blackout_or_its_grace_period() -> None:
    waiting, silent = SiteState.WAITING, SiteState.SILENT
    found = site(stamp(1))
    assert silent_states(found) == [waiting, silent, silent, silent]
    found.blackouts.begin(NOW_US + 2 * MINUTE_US)
    assert silent_states(found) == [waiting] * 4
    assert silent_from_us(found) is None
    found.blackouts.end(NOW_US + 10 * MINUTE_US)
    assert silent_states(found) == [waiting, waiting, waiting, silent]
    assert silent_from_us(found) == NOW_US + 10 * MINUTE_US + GRACE_US
    assert next_change_us(found, NOW_US + 10 * MINUTE_US) == NOW_US + 10 * MINUTE_US + GRACE_US


def test_a_site_silent_before_a_blackout_stays_silent() -> None:
    found = site(stamp(1))
    found.blackouts.begin(NOW_US + 6 * MINUTE_US)
    assert silent_states(found) == [SiteState.WAITING, *[SiteState.SILENT] * 3]


def test_silence_is_an_outage_since_the_last_measurement() -> None:
    found = site(stamp(1, NOW_US - 9 * MINUTE_US))
    place = SitePlace("63", "pop-1", "")
    assert outages_of(found) == (SiteOutage(SITE, place, NOW_US - 9 * MINUTE_US, MINUTE_US),)


def test_a_silent_site_that_reported_its_line_has_that_outage_alone() -> None:
    (found,) = outages_of(site(stamp(1, BEGIN_US - 1), outage(2, BEGIN_US)))
    assert (found.cause, found.begin_us, found.end_us) == (Cause.ACCESS, BEGIN_US, None)


def test_an_outage_of_the_peer_does_not_explain_silence() -> None:
    found = outages_of(site(stamp(1, BEGIN_US - 1), outage(2, BEGIN_US, cause=Cause.PEER)))
    assert [each.cause for each in found] == [None]


def test_a_site_outside_the_inventory_has_no_outages() -> None:
    found = site(stamp(1, BEGIN_US), outage(2, BEGIN_US))
    found.inventory = None
    assert outages_of(found) == ()


def test_a_peer_that_stops_answering_is_an_outage_of_the_peer() -> None:
    last_us = NOW_US - 3 * MINUTE_US
    found = site(stamp(1, last_us), failed(2, NOW_US), failed(3, NOW_US - MINUTE_US, Failure.PEER_REFUSED))
    (unanswered,) = outages_of(found)
    assert (unanswered.cause, unanswered.unanswered, unanswered.begin_us) == (Cause.PEER, True, last_us)
    assert unanswered.place.peer == "pop-1"


@pytest.mark.parametrize(
    "records",
    [
        [stamp(1)],
        [failed(2)],  # it never answered, so it did not stop
        [stamp(1, NOW_US - MINUTE_US), failed(2, NOW_US, Failure.UNREACHABLE)],
        [failed(1, NOW_US - MINUTE_US), stamp(2)],
    ],
)
def test_other_failures_are_no_outage_of_the_peer(records: list[Measurement]) -> None:
    assert outages_of(site(*records)) == ()


def test_outages_leave_live_state_a_day_after_their_end() -> None:
    found = site(outage(1, BEGIN_US, END_US))
    assert outages_of(found, END_US + 24 * HOUR_US - 1)
    assert not outages_of(found, END_US + 24 * HOUR_US)


def test_observations_of_other_probes_report_no_outage() -> None:
    assert isinstance(seen(stamp(1)), Observation)
    assert outage_of(seen(stamp(1))) is None


def test_a_redated_outage_has_its_new_time_and_is_not_counted_again() -> None:
    made = Fleet(INVENTORY)
    made.learn([seen(outage(1, BEGIN_US, END_US), 7)], NOW_US)
    made.relearn(SITE, [seen(outage(1, BEGIN_US - HOUR_US, END_US - HOUR_US), 7)], [])
    found = made.get(SITE)
    assert found is not None
    assert [each.end_us for each in found.outages.known.values()] == [END_US - HOUR_US]
    assert found.counters.totals["qos_outages_total"] == {',cause="access-line"': 1}
