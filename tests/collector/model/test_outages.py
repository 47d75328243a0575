"""Outages put together from what agents tell, and what live state makes of them."""

from itertools import permutations

import msgspec
import pytest

from collector.incidents.absences import absences, open_outage, place_of
from collector.incidents.correlation import SiteOutage, SitePlace
from collector.live.blackout import GRACE_US
from collector.live.fleet import Fleet
from collector.live.site_state import LiveSite, SiteState, next_change_us, silent_from_us, state_of
from collector.model.inventory import Site
from collector.model.observation import AHEAD_US, Observation, observe
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
from wire.records import Cause, ClockReading, Failure, Known

INVENTORY = {SITE: Site(SITE, "Lycée", departement="63", pop="pop-1")}
BEGIN_US, END_US = NOW_US - 20 * MINUTE_US, NOW_US - 9 * MINUTE_US


def told(record: Known, order: int = 1) -> Outage:
    found = outage_of(seen(record, order))
    assert found is not None
    return found


def site(*records: Known, received_us: int | None = None) -> LiveSite:
    made = Fleet(INVENTORY)
    came = [seen(record, order, received_us=received_us) for order, record in enumerate(records)]
    made.learn(came, NOW_US)
    found = made.get(SITE)
    assert found is not None
    return found


def away(found: LiveSite, now_us: int = NOW_US) -> tuple[SiteOutage, ...]:
    return absences(found, state_of(found, now_us), place_of(found, now_us), now_us)


def test_beginning_and_end_are_one_outage_in_whatever_order() -> None:
    words = [
        told(outage(1, BEGIN_US, cause=Cause.UNKNOWN), 1),
        told(outage(2, BEGIN_US, END_US, cause=Cause.ACCESS), 2),
        told(outage(3, END_US, cause=Cause.PEER, name="outage-2"), 3),
    ]
    for order in permutations(words):
        first, second = newest_reports(order)
        assert (first.begin_us, first.end_us, first.cause) == (BEGIN_US, END_US, Cause.ACCESS)
        assert (second.begin_us, second.end_us, second.cause) == (END_US, None, Cause.PEER)


def test_an_outage_whose_beginning_was_lost_is_whole() -> None:
    (found,) = newest_reports([told(outage(2, BEGIN_US, END_US))])
    assert (found.begin_us, found.lasted_us, found.peer) == (BEGIN_US, 11 * MINUTE_US, "pop-1")


def test_of_two_words_without_an_end_the_later_holds() -> None:
    early, late = outage(1, BEGIN_US, cause=Cause.UNKNOWN), outage(2, BEGIN_US, cause=Cause.BEYOND)
    late = msgspec.structs.replace(late, start=clock(END_US))
    assert [found.cause for found in newest_reports([told(late), told(early, 2)])] == [Cause.BEYOND]


def placed(record: Known, time_us: int) -> Outage:
    made = observe(SITE, record, time_us=time_us, order=1, received_us=NOW_US)
    found = outage_of(made)
    assert found is not None
    return found


def test_moments_are_placed_with_their_measurement() -> None:
    """A clock that was ten years behind: CLOCK_BOOTTIME tells how far before the end the beginning was."""
    wrong_us = NOW_US - 10 * 365 * 24 * HOUR_US
    record = outage(1, BEGIN_US, END_US)
    values = msgspec.structs.replace(record.values, begin=moment(record.values.begin, wrong_us))
    record = msgspec.structs.replace(record, start=moment(clock(END_US), wrong_us), values=values)
    found = placed(record, END_US)
    assert (found.begin_us, found.end_us) == (BEGIN_US, END_US)


@pytest.mark.parametrize("wrong_us", [0, 2**53 - 1])
def test_moments_that_cannot_be_are_within_reach_of_the_word(wrong_us: int) -> None:
    record = outage(1, BEGIN_US, END_US)
    for boot_id in ("boot-0", "boot-1"):
        never = ClockReading(wall_us=wrong_us, boot_us=wrong_us, boot_id=boot_id, synchronised=True)
        values = msgspec.structs.replace(record.values, begin=never, end=never)
        found = placed(msgspec.structs.replace(record, values=values), END_US)
        assert 0 <= found.begin_us <= END_US + AHEAD_US
        assert found.end_us is not None
        assert 0 <= found.end_us <= END_US + AHEAD_US


def moment(reading: ClockReading, wall_us: int) -> ClockReading:
    return msgspec.structs.replace(reading, wall_us=wall_us, synchronised=False)


def test_a_beginning_in_the_boot_before_has_its_own_clock_and_is_never_after_the_word() -> None:
    record = outage(1, BEGIN_US, END_US)
    for wall_us, begin_us in ((BEGIN_US - 7, BEGIN_US - 7), (NOW_US + HOUR_US, END_US)):
        before = clock(wall_us, boot_id="boot-0")
        values = msgspec.structs.replace(record.values, begin=before)
        found = placed(msgspec.structs.replace(record, values=values), END_US)
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
        ([stamp(2, END_US), outage(1, BEGIN_US)], None),  # never closed, and long over
        ([outage(1, BEGIN_US, cause=Cause.BROKER)], None),  # its word has come, so that is over
        ([outage(1, BEGIN_US, cause=Cause.COLLECTOR)], None),
        ([outage(1, BEGIN_US, cause=Cause.AGENT)], Cause.AGENT),
        ([outage(1, BEGIN_US, cause=Cause.AGENT), failed(2, END_US)], None),
        ([outage(1, BEGIN_US), outage(2, END_US, cause=Cause.PEER, name="o2")], Cause.PEER),
    ],
)
def test_which_outage_a_site_is_in(records: list[Known], expected: Cause | None) -> None:
    found = open_outage(site(*records))
    assert (found and found.cause) == expected


def test_an_outage_that_was_never_closed_lasted_at_the_least_until_it_was_told() -> None:
    (found,) = away(site(outage(1, BEGIN_US), stamp(2)))
    assert (found.begin_us, found.end_us, found.cause) == (BEGIN_US, BEGIN_US, Cause.ACCESS)


EVENTS = [outage(8, NOW_US - 1), outage(9, NOW_US - 1, NOW_US, name="o2")]


@pytest.mark.parametrize(
    "records",
    [
        [],
        [stamp(1, NOW_US - 3 * MINUTE_US)],
        [stamp(1, NOW_US - 9 * MINUTE_US)],
        [floor(1, NOW_US - 2 * HOUR_US)],
        [stamp(1, NOW_US - 2 * HOUR_US), floor(2, NOW_US - HOUR_US)],
    ],
)
def test_that_something_changed_makes_no_site_look_alive_or_dead(records: list[Known]) -> None:
    quiet, with_events = site(*records), site(*records, *EVENTS)
    assert with_events.newest_us == quiet.newest_us
    assert silent_from_us(with_events) == silent_from_us(quiet)
    for now_us in (NOW_US, NOW_US + 10 * HOUR_US):
        assert state_of(with_events, now_us) is state_of(quiet, now_us)


def test_outages_are_counted_when_their_end_is_told_in_time() -> None:
    found = site(outage(1, BEGIN_US), outage(2, BEGIN_US, END_US))
    assert found.outages.counted == {Cause.ACCESS: 1}
    assert found.outages.lasted_us == {Cause.ACCESS: 11 * MINUTE_US}
    late = site(outage(1, BEGIN_US), outage(2, BEGIN_US, END_US), received_us=END_US + 4 * HOUR_US)
    assert (late.outages.counted, late.late) == ({}, {"reachability": 2})


def silent_states(found: LiveSite) -> list[SiteState]:
    return [state_of(found, NOW_US + minute * MINUTE_US) for minute in (4, 6, 11, 16)]


def test_while_the_collector_is_deaf_nobody_is_silent_and_after_it_there_is_time() -> None:
    waiting, silent = SiteState.WAITING, SiteState.SILENT
    found = site(stamp(1))
    assert silent_states(found) == [waiting, silent, silent, silent]
    found.hearing.lose(NOW_US + 2 * MINUTE_US)
    assert silent_states(found) == [waiting] * 4
    assert silent_from_us(found) is None
    found.hearing.regain(NOW_US + 10 * MINUTE_US)
    assert silent_states(found) == [waiting, waiting, waiting, silent]
    assert silent_from_us(found) == NOW_US + 10 * MINUTE_US + GRACE_US
    assert next_change_us(found, NOW_US + 10 * MINUTE_US) == NOW_US + 10 * MINUTE_US + GRACE_US


def test_who_was_silent_before_stays_so_while_the_collector_is_deaf() -> None:
    found = site(stamp(1))
    found.hearing.lose(NOW_US + 6 * MINUTE_US)
    assert silent_states(found) == [SiteState.WAITING, *[SiteState.SILENT] * 3]


def test_a_silent_site_is_away_since_its_last_measurement() -> None:
    found = site(stamp(1, NOW_US - 9 * MINUTE_US))
    place = SitePlace("63", "pop-1", "")
    assert away(found) == (SiteOutage(SITE, place, NOW_US - 9 * MINUTE_US, MINUTE_US),)


def test_of_a_silent_site_that_told_of_its_line_the_word_counts() -> None:
    (found,) = away(site(stamp(1, BEGIN_US - 1), outage(2, BEGIN_US)))
    assert (found.cause, found.begin_us, found.end_us) == (Cause.ACCESS, BEGIN_US, None)


def test_a_silent_site_whose_peer_was_away_is_silent_for_another_reason() -> None:
    found = away(site(stamp(1, BEGIN_US - 1), outage(2, BEGIN_US, cause=Cause.PEER)))
    assert [each.cause for each in found] == [None]


def test_a_site_that_nobody_announced_is_not_missed() -> None:
    found = site(stamp(1, BEGIN_US), outage(2, BEGIN_US))
    found.inventory = None
    assert away(found) == ()


def test_a_peer_that_no_longer_answers_is_told_as_that() -> None:
    last_us = NOW_US - 3 * MINUTE_US
    found = site(stamp(1, last_us), failed(2, NOW_US), failed(3, NOW_US - MINUTE_US, Failure.PEER_REFUSED))
    (absence,) = away(found)
    assert (absence.cause, absence.unanswered, absence.begin_us) == (Cause.PEER, True, last_us)
    assert absence.place.peer == "pop-1"


@pytest.mark.parametrize(
    "records",
    [
        [stamp(1)],
        [failed(2)],  # it never answered: nothing ended
        [stamp(1, NOW_US - MINUTE_US), failed(2, NOW_US, Failure.UNREACHABLE)],
        [failed(1, NOW_US - MINUTE_US), stamp(2)],
    ],
)
def test_what_is_not_the_peers_is_not_told_as_the_peers(records: list[Known]) -> None:
    assert away(site(*records)) == ()


def test_what_ended_a_day_ago_is_the_ledgers() -> None:
    found = site(outage(1, BEGIN_US, END_US))
    assert away(found, END_US + 24 * HOUR_US - 1)
    assert not away(found, END_US + 24 * HOUR_US)


def test_an_observation_of_another_probe_tells_of_no_outage() -> None:
    assert isinstance(seen(stamp(1)), Observation)
    assert outage_of(seen(stamp(1))) is None


def test_an_outage_that_was_placed_anew_is_at_its_new_time() -> None:
    made = Fleet(INVENTORY)
    made.learn([seen(outage(1, BEGIN_US, END_US), 7)], NOW_US)
    made.relearn(SITE, [seen(outage(1, BEGIN_US - HOUR_US, END_US - HOUR_US), 7)])
    found = made.get(SITE)
    assert found is not None
    assert [each.end_us for each in found.outages.known.values()] == [END_US - HOUR_US]
    assert found.outages.counted == {Cause.ACCESS: 1}
