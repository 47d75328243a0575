"""What is one event upstream, by value; and what holds of any fleet."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.incidents.correlation import (
    FEWEST_SITES,
    LINK_US,
    Incident,
    Level,
    SiteCounts,
    SiteOutage,
    SitePlace,
    correlate,
    needed,
)
from collector.model.outages import OPERATOR_CAUSES
from tests.collector.examples import HOUR_US, NOW_US
from wire.records import Cause

SECOND_US = 1_000_000


def census(sites: int = 6000, **pops: int) -> SiteCounts:
    """A fleet in one département and with one peer, where nothing else is said."""
    return SiteCounts(
        watched=sites,
        sites=sites,
        pops=Counter(pops),
        departements=Counter({"63": sites}),
        peers=Counter({"peer-1": sites}),
    )


def away(
    number: int,
    begin_s: float = 0,
    end_s: float | None = None,
    cause: Cause | None = Cause.ACCESS,
    pop: str = "A",
    departement: str = "63",
    **more: object,
) -> SiteOutage:
    """A site that is away, told by its agent within 10 s; or silent since its last train."""
    slack_us = 60 * SECOND_US if cause is None else -10 * SECOND_US
    known: dict[str, object] = {
        "site": f"S{number}",
        "place": SitePlace(departement, pop, "peer-1"),
        "begin_us": NOW_US + round(begin_s * SECOND_US),
        "slack_us": slack_us,
        "end_us": None if end_s is None else NOW_US + round(end_s * SECOND_US),
        "cause": cause,
        "outage": "" if cause is None else f"outage-{number}",
    }
    return SiteOutage(**known | more)  # type: ignore[arg-type]


def told(found: list[Incident]) -> list[tuple[str, str, int]]:
    return [(event.level.value, event.place, len(event.sites)) for event in found]


TEN = [away(number, number * 5) for number in range(10)]
TEN_SILENT = [away(number, number * 6, cause=None) for number in range(10)]


@pytest.mark.parametrize(
    ("absences", "counted", "expected"),
    [
        pytest.param(TEN, census(A=10), [("pop", "A", 10)], id="a POP cut of ten sites"),
        pytest.param(TEN_SILENT, census(A=10), [("pop", "A", 10)], id="the same while nobody can tell"),
        pytest.param(TEN[:4] + TEN_SILENT[4:], census(A=10), [("pop", "A", 10)], id="some are back already"),
        pytest.param(TEN[:2], census(A=200), [], id="two sites of a POP of 200"),
        pytest.param(TEN[:5], census(A=200), [], id="five sites of a POP of 200"),
        pytest.param(TEN[:6], census(A=200), [("pop", "A", 6)], id="one line card of a POP of 200"),
        pytest.param(TEN[:2], census(A=2), [], id="both sites of a POP of two"),
        pytest.param(TEN[:3], census(A=3), [("pop", "A", 3)], id="all three of a POP of three"),
        pytest.param(
            [away(number, 200 * number) for number in range(6)], census(A=10), [], id="one after the other"
        ),
        pytest.param(
            [away(number, cause=Cause.AGENT) for number in range(10)], census(A=10), [], id="agents stopped"
        ),
        pytest.param([away(number, pop="") for number in range(4)], census(4), [("departement", "63", 4)],
                     id="no POP known, so the département"),
        pytest.param(
            [away(number, pop=f"P{number}") for number in range(12)],
            census(600, **{f"P{number}": 20 for number in range(12)}),
            [("departement", "63", 12)],
            id="a site each of twelve POPs",
        ),
        pytest.param(
            [*TEN, *(away(20 + number, pop=f"P{number}") for number in range(10))],
            census(600, A=10, **{f"P{number}": 20 for number in range(10)}),
            [("departement", "63", 10), ("pop", "A", 10)],
            id="the POP has its own, the département the rest",
        ),
        pytest.param(
            [away(number, cause=None, pop=f"P{number % 9}") for number in range(40)],
            census(60, **{f"P{number}": 8 for number in range(9)}),
            [("fleet", "", 40)],
            id="most of the fleet silent at once is ours",
        ),
        pytest.param(
            [away(number, pop=f"P{number % 9}") for number in range(40)],
            census(60, **{f"P{number}": 8 for number in range(9)}),
            [("pop", f"P{number}", 5 if number < 4 else 4) for number in range(9)],
            id="most of the fleet away by their own word is not",
        ),
        pytest.param(
            [away(number, cause=Cause.BROKER, pop="B") for number in range(30)],
            census(A=10, B=30),
            [("fleet", "", 30)],
            id="a broker that agents tell of is never the POP's",
        ),
        pytest.param(
            [away(number, cause=Cause.PEER, unanswered=True) for number in range(60)],
            census(60, A=60),
            [("peer", "peer-1", 60)],
            id="a peer that answers nobody",
        ),
        pytest.param(
            [away(number, cause=Cause.PEER, unanswered=True) for number in range(50)],
            census(60, A=50),
            [],
            id="a peer that answers some lives",
        ),
        pytest.param(
            [away(number, cause=Cause.PEER) for number in range(10)],
            census(60, A=10),
            [("pop", "A", 10)],
            id="a POP from which the peer is not reached",
        ),
        pytest.param(
            [*TEN, away(99, -1800, cause=None, slack_us=HOUR_US)],
            census(A=11),
            [("pop", "A", 11)],
            id="a site that tests hourly joins",
        ),
        pytest.param(
            [away(number, cause=None, slack_us=HOUR_US) for number in range(10)],
            census(A=10),
            [],
            id="sites that test hourly do not found",
        ),
    ],
)  # fmt: skip
def test_what_is_one_event(
    absences: list[SiteOutage], counted: SiteCounts, expected: list[tuple[str, str, int]]
) -> None:
    assert sorted(told(correlate(absences, counted))) == sorted(expected)


def test_an_event_tells_since_when_until_when_and_whose() -> None:
    causes = [Cause.ACCESS, Cause.BEYOND, Cause.BEYOND, Cause.BEYOND]
    back = [away(number, 3 - number, 600 + number, causes[number]) for number in range(4)]
    (event,) = correlate(back, census(A=10))
    assert (event.begin_us, event.end_us) == (NOW_US, NOW_US + 603 * SECOND_US)
    assert (event.cause, event.away) == (Cause.BEYOND, frozenset())
    (event,) = correlate([*back, away(9, -5, cause=None)], census(A=10))
    assert (event.begin_us, event.end_us, event.away) == (NOW_US, None, {"S9"})


def test_a_site_that_comes_and_goes_is_one_site() -> None:
    flapping = [away(1, 20 * number, 20 * number + 9, outage=f"o{number}") for number in range(9)]
    assert correlate(flapping, census(A=10)) == []
    (event,) = correlate([*flapping, away(2), away(3), away(4)], census(A=10))
    assert (len(event.sites), event.away) == (4, {"S2", "S3", "S4"})


def test_who_was_silent_before_does_not_hide_that_all_fell_silent() -> None:
    dead = [away(100 + number, -9000 * number - 9000, cause=None, pop="D") for number in range(30)]
    silent = [away(number, cause=None, pop=f"P{number}") for number in range(20)]
    assert told(correlate([*dead, *silent], census(55))) == [("fleet", "", 20)]
    assert told(correlate([*dead, *silent], census(90))) != [("fleet", "", 20)]


@pytest.mark.parametrize(
    ("sites", "span_s", "expected"),
    [(1, 0, 3), (3, 0, 3), (10, 0, 3), (20, 0, 4), (60, 60, 5), (200, 0, 6), (600, 0, 8), (6000, 60, 30)],
)
def test_how_many_sites_are_more_than_chance(sites: int, span_s: int, expected: int) -> None:
    assert needed(sites, span_s * SECOND_US) == expected


def test_chance_makes_hardly_an_event_in_a_year_of_a_pop_whose_lines_flap() -> None:
    """Once a day each, which is far more than lines do."""
    random = Random(24)
    for sites, days in ((10, 365), (200, 60)):
        absences = [
            away(
                number, begin_s := random.uniform(0, days * 86_400), begin_s + 300, outage=f"o{number}-{day}"
            )
            for number in range(sites)
            for day in range(days)
        ]
        assert len(correlate(absences, census(A=sites))) <= 2


def test_a_storm_of_sixty_thousand_is_grouped_in_seconds() -> None:
    random = Random(3)
    silent = [
        away(number, random.uniform(0, 60), cause=None, pop=f"P{number % 300}") for number in range(60_000)
    ]
    (event,) = correlate(silent, census(60_000, **{f"P{number}": 200 for number in range(300)}))
    assert (event.level, event.cause, len(event.sites)) == (Level.FLEET, Cause.BROKER, 60_000)


CAUSES = [None, *Cause]
ABSENCES = st.lists(
    st.builds(
        lambda number, begin, lasted, cause, vague: away(
            number,
            begin,
            None if lasted is None else begin + lasted,
            cause,
            pop=f"P{number % 3}" if number % 7 else "",
            departement="63" if number % 2 else "03",
            outage="" if cause is None else f"o{begin}",
            slack_us=HOUR_US if cause is None and vague else 30 * SECOND_US,
        ),
        st.integers(0, 30),
        st.integers(0, 900),
        st.none() | st.integers(1, 900),
        st.sampled_from(CAUSES),
        st.booleans(),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(ABSENCES, st.randoms(use_true_random=False), st.integers(3, 200))
def test_events_of_any_fleet_part_it_and_never_blame_a_line_for_ours(
    absences: list[SiteOutage], random: Random, size: int
) -> None:
    counted = census(31, P0=size, P1=size, P2=size)
    found = correlate(absences, counted)
    members = [each for event in found for each in event.absences]
    assert len(members) == len(set(members))  # no absence in two correlate
    assert set(members) <= set(absences)
    for event in found:
        assert len(event.sites) >= FEWEST_SITES
        datable = sorted(each.middle_us for each in event.absences if each.datable)
        assert all(later - before <= LINK_US for before, later in pairwise(datable))
        if event.level in (Level.POP, Level.DEPARTEMENT):
            assert not {each.cause for each in event.absences} & {*OPERATOR_CAUSES, Cause.AGENT}
            assert event.cause not in OPERATOR_CAUSES
            assert {each.place.pop if event.level is Level.POP else each.place.departement
                    for each in event.absences} == {event.place}  # fmt: skip
    lasting = Counter(site for event in found for site in event.away)
    open_once = Counter(each.site for each in absences if each.end_us is None)
    assert all(count <= open_once[site] for site, count in lasting.items())
    shuffled = list(absences)
    random.shuffle(shuffled)
    assert correlate(shuffled, counted) == found
