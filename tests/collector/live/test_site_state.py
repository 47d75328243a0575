import msgspec
import pytest

from collector.live.fleet import Fleet
from collector.live.site_state import MAX_SERIES, LiveSite, SeriesState, SiteState, next_change_us, state_of
from collector.model.inventory import Site
from collector.model.observation import Observation, Series
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from tests.collector.examples import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    SITE,
    failed,
    floor,
    floor_values,
    seen,
    stamp,
    stamp_values,
)
from wire.records import Direction, Failure, FloorValues, Measurement, Outcome, Purpose, Standing, Verdict

INVENTORY = {SITE: Site(SITE, "Lycée", floor_down=8_000_000, floor_up=4_000_000)}
PASS, FAIL = floor_values(Verdict.PASS), floor_values(Verdict.FAIL, 6.4e6, 6.5e6)
CLEAR, SUSPECT, CONDEMNED = Standing.CLEAR, Standing.SUSPECT, Standing.CONDEMNED
UNCONFIRMED = floor_values(Verdict.UNCONFIRMED, 6.4e6, 6.5e6)


def with_standing(verdict: Verdict, standing: Standing) -> FloorValues:
    """Floor values with a standing, as agents with the sequential test send them."""
    return msgspec.structs.replace(floor_values(verdict, 6.4e6, 6.5e6), standing=standing)


PASSIVE = msgspec.structs.replace(
    with_standing(Verdict.PASS, CLEAR), tests=(), capacity_bps=None, passive_us=2_500_000
)


def fleet(*records: Measurement, inventory: dict[str, Site] = INVENTORY, now_us: int = NOW_US) -> Fleet:
    made = Fleet(inventory)
    made.learn([seen(record, order) for order, record in enumerate(records)], now_us)
    return made


def site(*records: Measurement, inventory: dict[str, Site] = INVENTORY) -> LiveSite:
    found = fleet(*records, inventory=inventory).get(SITE)
    assert found is not None
    return found


@pytest.mark.parametrize(("records", "expected"), [
    ([], SiteState.WAITING),
    ([stamp(1)], SiteState.WAITING),
    ([stamp(1), floor(2, values=UNCONFIRMED)], SiteState.WAITING),
    ([floor(1, values=PASS)], SiteState.OK),
    ([floor(1, values=PASS), floor(2, values=PASS, direction=Direction.UP)], SiteState.OK),
    ([floor(1, values=PASS), floor(2, values=UNCONFIRMED, direction=Direction.UP)], SiteState.WAITING),
    ([floor(1, values=PASS), floor(2, NOW_US - 4 * HOUR_US, PASS, direction=Direction.UP)], SiteState.OK),
    ([floor(1, values=FAIL)], SiteState.BELOW_FLOOR),
    ([floor(1, values=PASS), floor(2, values=FAIL, direction=Direction.UP)], SiteState.BELOW_FLOOR),
    ([floor(1, NOW_US - 1, FAIL), floor(2, values=PASS)], SiteState.OK),
    ([floor(1, NOW_US - 1, FAIL), floor(2, values=UNCONFIRMED)], SiteState.BELOW_FLOOR),
    ([floor(1, NOW_US - 3 * HOUR_US + 1, PASS)], SiteState.OK),
    ([floor(1, NOW_US - 3 * HOUR_US, PASS)], SiteState.WAITING),
    ([floor(1, NOW_US - 3 * HOUR_US - 2 * MINUTE_US, PASS)], SiteState.SILENT),
    ([stamp(1, NOW_US - 5 * MINUTE_US + 1), floor(2, NOW_US - 2 * HOUR_US, PASS)], SiteState.OK),
    ([stamp(1, NOW_US - 5 * MINUTE_US), floor(2, NOW_US - 2 * HOUR_US, PASS)], SiteState.SILENT),
    ([stamp(1, NOW_US - 6 * MINUTE_US), floor(2, NOW_US - 5 * MINUTE_US, PASS)], SiteState.SILENT),
    ([stamp(1, NOW_US - 2 * HOUR_US), floor(2, NOW_US - HOUR_US, PASS)], SiteState.OK),
    ([stamp(1, NOW_US - 2 * HOUR_US, interval_us=None), floor(2, NOW_US - HOUR_US, PASS)], SiteState.OK),
    ([stamp(1), floor(2, NOW_US - 3 * HOUR_US, PASS)], SiteState.WAITING),
    ([stamp(1), floor(2, NOW_US - 3 * HOUR_US, FAIL)], SiteState.BELOW_FLOOR),
    ([failed(1, NOW_US)], SiteState.WAITING),
    ([floor(1, values=with_standing(Verdict.FAIL, SUSPECT))], SiteState.SUSPECT),
    ([floor(1, values=with_standing(Verdict.FAIL, CONDEMNED))], SiteState.BELOW_FLOOR),
    ([floor(1, values=with_standing(Verdict.PASS, CONDEMNED))], SiteState.BELOW_FLOOR),
    ([floor(1, values=with_standing(Verdict.PASS, SUSPECT))], SiteState.SUSPECT),
    ([floor(1, values=with_standing(Verdict.PASS, CLEAR))], SiteState.OK),
    ([floor(1, values=PASSIVE, purpose=Purpose.PASSIVE)], SiteState.OK),
    ([floor(1, values=with_standing(Verdict.UNDETERMINED, CLEAR))], SiteState.WAITING),
    ([floor(1, NOW_US - 1, with_standing(Verdict.FAIL, SUSPECT)), floor(2, values=UNCONFIRMED)],
     SiteState.SUSPECT),
    ([floor(1, NOW_US - 1, with_standing(Verdict.PASS, CLEAR)), floor(2, values=UNCONFIRMED)], SiteState.OK),
    ([floor(1, NOW_US - 1, with_standing(Verdict.FAIL, SUSPECT)), floor(2, values=PASS)], SiteState.OK),
    ([floor(1, NOW_US - 1, with_standing(Verdict.PASS, CLEAR)), floor(2, values=FAIL)],
     SiteState.BELOW_FLOOR),
    ([floor(1, values=with_standing(Verdict.FAIL, SUSPECT)), floor(2, values=FAIL, direction=Direction.UP)],
     SiteState.BELOW_FLOOR),
    ([floor(1, values=PASS, interval_us=None, start_us=NOW_US - 2 * HOUR_US)], SiteState.OK),
])  # fmt: skip
def test_state_of_a_site(records: list[Measurement], expected: SiteState) -> None:
    assert state_of(site(*records), NOW_US) is expected


def test_a_site_outside_the_inventory_has_a_state_of_its_own() -> None:
    assert state_of(site(floor(1, values=FAIL), inventory={}), NOW_US) is SiteState.NOT_IN_INVENTORY


@pytest.mark.parametrize("outcome", [Outcome.INVALID, Outcome.FAILED, Outcome.SKIPPED])
def test_values_of_another_outcome_than_ok_decide_nothing(outcome: Outcome) -> None:
    found = site(floor(1, values=FAIL, outcome=outcome, failure=Failure.SENDER_SLOW))
    assert state_of(found, NOW_US) is SiteState.WAITING
    assert found.floor_series(Direction.DOWN) == SeriesState(
        seen(floor(1, values=FAIL, outcome=outcome, failure=Failure.SENDER_SLOW), 0)
    )


def test_the_newest_measurement_time_wins_over_the_last_arrival() -> None:
    found = site(stamp(5, NOW_US - 5), stamp(3, NOW_US - 30, stamp_values(99_000)))
    (series,) = found.series.values()
    assert series.newest.time_us == NOW_US - 5
    assert series.valued == series.newest


def test_a_failure_keeps_the_last_values() -> None:
    (series,) = site(stamp(1, NOW_US - 9), failed(2)).series.values()
    assert (series.newest.failure, series.valued and series.valued.time_us) == (Failure.NO_ANSWER, NOW_US - 9)


def test_a_measurement_from_the_future_does_not_enter_live_state() -> None:
    made = fleet(stamp(1), stamp(2, NOW_US + 25 * HOUR_US))
    assert [found.newest_us for found in made] == [NOW_US]


def test_the_next_change_is_when_something_becomes_stale() -> None:
    found = site(stamp(1), floor(2))
    assert next_change_us(found, NOW_US) == NOW_US + 3 * MINUTE_US
    assert next_change_us(found, NOW_US + 3 * MINUTE_US) == NOW_US + 5 * MINUTE_US
    assert next_change_us(found, NOW_US + 5 * MINUTE_US) == NOW_US + 3 * HOUR_US
    assert next_change_us(found, NOW_US + 3 * HOUR_US) is None


def test_late_measurements_have_a_counter_of_their_own() -> None:
    made = Fleet(INVENTORY)
    late = seen(floor(1, NOW_US - 4 * HOUR_US), 1, received_us=NOW_US)
    made.learn([late, seen(floor(2), 2), seen(failed(3), 3)], NOW_US)
    found = made.get(SITE)
    assert found is not None
    assert found.counters.measurements == {
        ("floor", Outcome.OK, None): 1,
        ("stamp", Outcome.FAILED, Failure.NO_ANSWER): 1,
    }
    assert found.counters.late == {"floor": 1}
    assert found.counters.totals["qos_floor_verdicts_total"] == {',direction="down",verdict="pass"': 1}
    assert found.counters.bytes_spent[("floor", Direction.DOWN)] == 2_000_000


def compared(
    result: ComparisonResult, age_us: int = 0, direction: Direction = Direction.DOWN
) -> ComparedTest:
    return ComparedTest("pop-1", SITE, direction, NOW_US - age_us, result, 0.2)


def test_the_newest_disagreement_of_a_direction_is_kept_after_an_agreement() -> None:
    made = fleet()
    first = [
        compared(ComparisonResult.DISAGREE, 5),
        compared(ComparisonResult.DISAGREE, 9),
        compared(ComparisonResult.AGREE),
    ]
    assert made.learn_comparisons([*first, compared(ComparisonResult.AGENT_ONLY)], NOW_US) == {SITE}
    found = made.get(SITE)
    assert found is not None
    assert found.comparisons.disagreements == {Direction.DOWN: first[0]}
    assert found.comparisons.results == {
        ComparisonResult.AGREE: 1,
        ComparisonResult.DISAGREE: 2,
        ComparisonResult.AGENT_ONLY: 1,
    }


def test_comparisons_of_a_backlog_or_from_the_ledger_are_not_counted() -> None:
    made = fleet()
    made.learn_comparisons([compared(ComparisonResult.DISAGREE, 25 * HOUR_US)], NOW_US)
    made.restore_comparisons([compared(ComparisonResult.DISAGREE, direction=Direction.UP)])
    found = made.get(SITE)
    assert found is not None
    assert (found.comparisons.results.total(), set(found.comparisons.disagreements)) == (0, set(Direction))


def test_a_comparison_without_a_known_site_adds_no_site() -> None:
    made = fleet()
    strange = ComparedTest("pop-1", "strange", Direction.UP, NOW_US, ComparisonResult.DISAGREE, 0.2)
    alone = ComparedTest("pop-1", None, Direction.UP, NOW_US, ComparisonResult.PEER_ONLY, None)
    assert made.learn_comparisons([strange, alone], NOW_US) == set()
    assert len(made) == 1


def test_the_number_of_series_of_a_site_is_bounded() -> None:
    made = Fleet({})
    base = seen(stamp(1))
    for number in range(MAX_SERIES + 9):
        series = Series(SITE, f"probe-{number}", None, None)
        made.learn(
            [Observation(**{**{f: getattr(base, f) for f in base.__struct_fields__}, "series": series})],
            NOW_US,
        )
    found = made.get(SITE)
    assert found is not None
    assert len(found.series) == MAX_SERIES == len(found.counters.measurements)


def test_the_number_of_sites_outside_the_inventory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.live.fleet.MAX_STRANGERS", 3)
    made = Fleet(INVENTORY)
    made.learn([seen(stamp(1), site=f"stranger-{number}") for number in range(3)], NOW_US)
    assert (len(made), made.crowded) == (4, False)
    assert made.learn([seen(stamp(1), site="one-more"), seen(stamp(2))], NOW_US) == {SITE}
    assert (len(made), made.crowded) == (4, True)
    made.take_inventory({"stranger-0": Site("stranger-0", "Known now")})
    assert made.learn([seen(stamp(1), site="stranger-4")], NOW_US) == set()
    made.take_inventory(
        {f"stranger-{number}": Site(f"stranger-{number}", "Known now") for number in range(2)}
    )
    assert made.learn([seen(stamp(1), site="stranger-4")], NOW_US) == {"stranger-4"}


def test_a_new_inventory_keeps_live_state() -> None:
    made = fleet(floor(1, values=PASS))
    made.take_inventory({"new": Site("new", "New")})
    states = {found.site_id: state_of(found, NOW_US) for found in made}
    assert states == {"new": SiteState.WAITING, SITE: SiteState.NOT_IN_INVENTORY}
    made.take_inventory({SITE: Site(SITE, "Back")})
    assert {found.site_id: state_of(found, NOW_US) for found in made} == {SITE: SiteState.OK}
