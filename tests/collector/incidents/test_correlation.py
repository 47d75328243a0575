"""Correlation of outages into incidents: by value, and invariants of any fleet."""

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
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


def counts(sites: int = 6000, **pops: int) -> SiteCounts:
    """Counts of a fleet in one département and with one peer, unless given."""
    return SiteCounts(
        datable=sites,
        sites=sites,
        pops=Counter(pops),
        departements=Counter({"63": sites}),
        peers=Counter({"peer-1": sites}),
    )


def down(
    number: int,
    begin_s: float = 0,
    end_s: float | None = None,
    cause: Cause | None = Cause.ACCESS,
    pop: str = "A",
    departement: str = "63",
    **more: object,
) -> SiteOutage:
    """Outage of a site, reported by its agent to within 10 s; or silence since its last train."""
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


def grouped(found: list[Incident]) -> list[tuple[str, str, int]]:
    return [(incident.level.value, incident.place, len(incident.sites)) for incident in found]


TEN = [down(number, number * 5) for number in range(10)]
TEN_SILENT = [down(number, number * 6, cause=None) for number in range(10)]


@pytest.mark.parametrize(
    ("outages", "counted", "expected"),
    [
        pytest.param(TEN, counts(A=10), [("pop", "A", 10)], id="a POP cut of ten sites"),
        pytest.param(TEN_SILENT, counts(A=10), [("pop", "A", 10)], id="the same while all are silent"),
        pytest.param(TEN[:4] + TEN_SILENT[4:], counts(A=10), [("pop", "A", 10)], id="some have reported"),
        pytest.param(TEN[:2], counts(A=200), [], id="two sites of a POP of 200"),
        pytest.param(TEN[:5], counts(A=200), [], id="five sites of a POP of 200"),
        pytest.param(TEN[:6], counts(A=200), [("pop", "A", 6)], id="one line card of a POP of 200"),
        pytest.param(TEN[:2], counts(A=2), [], id="both sites of a POP of two"),
        pytest.param(TEN[:3], counts(A=3), [("pop", "A", 3)], id="all three of a POP of three"),
        pytest.param(
            [down(number, 200 * number) for number in range(6)], counts(A=10), [], id="one after the other"
        ),
        pytest.param(
            [down(number, cause=Cause.AGENT) for number in range(10)], counts(A=10), [], id="agents stopped"
        ),
        pytest.param([down(number, pop="") for number in range(4)], counts(4), [("departement", "63", 4)],
                     id="no POP known, so the département"),
        pytest.param(
            [down(number, pop=f"P{number}") for number in range(12)],
            counts(600, **{f"P{number}": 20 for number in range(12)}),
            [("departement", "63", 12)],
            id="one site of each of twelve POPs",
        ),
        pytest.param(
            [*TEN, *(down(20 + number, pop=f"P{number}") for number in range(10))],
            counts(600, A=10, **{f"P{number}": 20 for number in range(10)}),
            [("departement", "63", 10), ("pop", "A", 10)],
            id="the POP has its own, the département the rest",
        ),
        pytest.param(
            [down(number, cause=None, pop=f"P{number % 9}") for number in range(40)],
            counts(60, **{f"P{number}": 8 for number in range(9)}),
            [("fleet", "", 40)],
            id="most of the fleet silent at once: the fleet",
        ),
        pytest.param(
            [down(number, pop=f"P{number % 9}") for number in range(40)],
            counts(60, **{f"P{number}": 8 for number in range(9)}),
            [("pop", f"P{number}", 5 if number < 4 else 4) for number in range(9)],
            id="most of the fleet down by their own reports: not the fleet",
        ),
        pytest.param(
            [down(number, cause=Cause.BROKER, pop="B") for number in range(30)],
            counts(A=10, B=30),
            [("fleet", "", 30)],
            id="cause broker is never the POP",
        ),
        pytest.param(
            [down(number, cause=Cause.PEER, unanswered=True) for number in range(60)],
            counts(60, A=60),
            [("peer", "peer-1", 60)],
            id="a peer that answers no site",
        ),
        pytest.param(
            [down(number, cause=Cause.PEER, unanswered=True) for number in range(50)],
            counts(60, A=50),
            [],
            id="a peer that answers some sites is up",
        ),
        pytest.param(
            [down(number, cause=Cause.PEER) for number in range(10)],
            counts(60, A=10),
            [("pop", "A", 10)],
            id="a POP from which the peer is not reached",
        ),
        pytest.param(
            [*TEN, down(99, -1800, cause=None, slack_us=HOUR_US)],
            counts(A=11),
            [("pop", "A", 11)],
            id="a site that tests hourly joins",
        ),
        pytest.param(
            [down(number, cause=None, slack_us=HOUR_US) for number in range(10)],
            counts(A=10),
            [],
            id="sites that test hourly found no incident",
        ),
    ],
)  # fmt: skip
def test_outages_that_are_one_incident(
    outages: list[SiteOutage], counted: SiteCounts, expected: list[tuple[str, str, int]]
) -> None:
    assert sorted(grouped(correlate(outages, counted))) == sorted(expected)


def test_begin_end_and_cause_of_an_incident() -> None:
    causes = [Cause.ACCESS, Cause.BEYOND, Cause.BEYOND, Cause.BEYOND]
    back = [down(number, 3 - number, 600 + number, causes[number]) for number in range(4)]
    (incident,) = correlate(back, counts(A=10))
    assert (incident.begin_us, incident.end_us) == (NOW_US, NOW_US + 603 * SECOND_US)
    assert (incident.cause, incident.open_sites) == (Cause.BEYOND, frozenset())
    (incident,) = correlate([*back, down(9, -5, cause=None)], counts(A=10))
    assert (incident.begin_us, incident.end_us, incident.open_sites) == (NOW_US, None, {"S9"})


def test_a_flapping_site_counts_once() -> None:
    flapping = [down(1, 20 * number, 20 * number + 9, outage=f"o{number}") for number in range(9)]
    assert correlate(flapping, counts(A=10)) == []
    (incident,) = correlate([*flapping, down(2), down(3), down(4)], counts(A=10))
    assert (len(incident.sites), incident.open_sites) == (4, {"S2", "S3", "S4"})


def test_sites_silent_before_do_not_hide_that_the_fleet_falls_silent() -> None:
    dead = [down(100 + number, -9000 * number - 9000, cause=None, pop="D") for number in range(30)]
    silent = [down(number, cause=None, pop=f"P{number}") for number in range(20)]
    assert grouped(correlate([*dead, *silent], counts(55))) == [("fleet", "", 20)]
    assert grouped(correlate([*dead, *silent], counts(90))) != [("fleet", "", 20)]


@pytest.mark.parametrize(
    ("sites", "span_s", "expected"),
    [(1, 0, 3), (3, 0, 3), (10, 0, 3), (20, 0, 4), (60, 60, 5), (200, 0, 6), (600, 0, 8), (6000, 60, 30)],
)
def test_number_of_sites_beyond_chance(sites: int, span_s: int, expected: int) -> None:
    assert needed(sites, span_s * SECOND_US) == expected


def test_chance_makes_at_most_two_incidents_in_a_year_of_a_flapping_pop() -> None:
    """Each site is down once a day, far more often than real lines are."""
    random = Random(24)
    for sites, days in ((10, 365), (200, 30)):
        outages = [
            down(
                number, begin_s := random.uniform(0, days * 86_400), begin_s + 300, outage=f"o{number}-{day}"
            )
            for number in range(sites)
            for day in range(days)
        ]
        assert len(correlate(outages, counts(A=sites))) <= 2


def test_thirty_thousand_silent_sites_are_one_incident() -> None:
    random = Random(3)
    silent = [
        down(number, random.uniform(0, 60), cause=None, pop=f"P{number % 300}") for number in range(30_000)
    ]
    (incident,) = correlate(silent, counts(30_000, **{f"P{number}": 100 for number in range(300)}))
    assert (incident.level, incident.cause, len(incident.sites)) == (Level.FLEET, Cause.BROKER, 30_000)


CAUSES = [None, *Cause]
OUTAGES = st.lists(
    st.builds(
        lambda number, begin, lasted, cause, vague: down(
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


@given(OUTAGES, st.randoms(use_true_random=False), st.integers(3, 200))
def test_incidents_of_any_fleet_are_disjoint_and_independent_of_order(
    outages: list[SiteOutage], random: Random, size: int
) -> None:
    counted = counts(31, P0=size, P1=size, P2=size)
    found = correlate(outages, counted)
    members = [each for incident in found for each in incident.outages]
    assert len(members) == len(set(members))  # no outage is in two incidents
    assert set(members) <= set(outages)
    for incident in found:
        assert len(incident.sites) >= FEWEST_SITES
        datable = sorted(each.middle_us for each in incident.outages if each.datable)
        assert all(later - before <= LINK_US for before, later in pairwise(datable))
        if incident.level in (Level.POP, Level.DEPARTEMENT):
            assert not {each.cause for each in incident.outages} & {*OPERATOR_CAUSES, Cause.AGENT}
            assert incident.cause not in OPERATOR_CAUSES
            assert {each.place.pop if incident.level is Level.POP else each.place.departement
                    for each in incident.outages} == {incident.place}  # fmt: skip
    lasting = Counter(site for incident in found for site in incident.open_sites)
    open_once = Counter(each.site for each in outages if each.end_us is None)
    assert all(count <= open_once[site] for site, count in lasting.items())
    shuffled = list(outages)
    random.shuffle(shuffled)
    assert correlate(shuffled, counted) == found
