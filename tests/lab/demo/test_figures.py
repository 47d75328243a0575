"""Figures read from the collector's metrics pages."""

import pytest

from collector.live.fleet import Fleet
from collector.metrics.exposition import Exposition
from collector.model.inventory import Site
from collector.model.observation import Observation, Series
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from lab.demo.figures import Capacity, Figures
from wire.records import Direction, FloorValues, LineCounters, Outcome, Spread, StampValues, Verdict

NOW_US = 1_775_000_000_000_000
SITE = "0039001A"


def page(*seen: Observation) -> str:
    fleet = Fleet({SITE: Site(SITE, "Lycée"), "waiting": Site("waiting", "Collège")})
    fleet.learn(seen, NOW_US)
    exposition = Exposition()
    for site in fleet:
        exposition.update(site, NOW_US)
    return b"".join(exposition.pieces()).decode()


def observation(probe: str, values: FloorValues | StampValues | None, **more: object) -> Observation:
    series = Series(SITE, probe, more.pop("direction", None), more.pop("dscp", None))  # type: ignore[arg-type]
    time_us = NOW_US - 5_000_000
    defaults = {"order": 1, "received_us": NOW_US, "interval_us": 10_000_000, "outcome": Outcome.OK}
    return Observation(series=series, values=values, failure=None, **{"time_us": time_us} | defaults | more)  # type: ignore[arg-type]


def floor(direction: Direction, verdict: Verdict, capacity: float | None, at_least: float) -> Observation:
    values = FloorValues(
        verdict=verdict,
        floor_bps=8e6,
        line_counters=LineCounters.INLINE,
        tests=(),
        at_least_bps=at_least,
        capacity_bps=capacity,
    )
    return observation("floor", values, direction=direction, bytes_sent=1000, bytes_received=2000)


def train(up: float | None, down: float | None, rtt_us: int, **more: object) -> Observation:
    values = StampValues(
        sent=100,
        received=90,
        timeout_us=500_000,
        loss_ratio=0.1,
        loss_forward_ratio=up,
        loss_return_ratio=down,
        rtt=Spread(min_us=rtt_us, p50_us=rtt_us, p95_us=rtt_us, p99_us=rtt_us),
    )
    return observation("stamp", values, **{"dscp": 0, "bytes_sent": 10, "bytes_received": 20} | more)


def test_floor_figures() -> None:
    figures = Figures(100)
    figures.take(
        page(
            floor(Direction.DOWN, Verdict.PASS, None, 8.01e6), floor(Direction.UP, Verdict.FAIL, 6.5e6, 6.4e6)
        )
    )
    site = figures.sites[SITE]
    assert site.passed == {"down": True, "up": False}
    assert site.capacity == {"down": Capacity(8.01e6, exact=False), "up": Capacity(6.5e6, exact=True)}
    assert site.state == "below-floor"
    assert site.bytes_spent == {"up": 2000, "down": 4000}
    assert site.outcomes == {("floor", "ok"): 2}
    assert site.newest_s == NOW_US / 1e6 - 5


def test_peer_comparisons_are_read_from_each_page() -> None:
    fleet = Fleet({SITE: Site(SITE, "Lycée")})
    exposition, figures = Exposition(), Figures(100)
    for results in (
        (ComparisonResult.AGREE, ComparisonResult.AGREE),
        (ComparisonResult.AGREE, ComparisonResult.DISAGREE),
    ):
        joined = [ComparedTest("peer", SITE, Direction.UP, NOW_US, result, 0.5) for result in results]
        fleet.learn_comparisons(joined, NOW_US)
        for site in fleet:
            exposition.update(site, NOW_US)
        figures.take(b"".join(exposition.pieces()).decode())
    found = figures.sites[SITE].peer_comparisons
    assert (found["agree"], found["disagree"]) == (3, 1)


def test_each_train_is_counted_once_and_the_least_round_trip_is_kept() -> None:
    figures = Figures(100)
    first = train(0.02, 0.5, 20_000, dscp=46)
    second = train(0.0, 0.0, 30_000, dscp=46, time_us=NOW_US - 1_000_000, order=2)
    for one in (page(first), page(first), page(first, second)):
        figures.take(one)
    site = figures.sites[SITE]
    assert site.rtt_min_s == {46: 0.02}
    assert (site.sent, site.lost) == ({"up": 200, "down": 198}, {"up": 2, "down": 49})


def test_a_train_whose_loss_has_no_direction_counts_for_the_round_trip_only() -> None:
    figures = Figures(100)
    figures.take(page(train(None, None, 20_000)))
    assert figures.sites[SITE].rtt_min_s == {0: 0.02}
    assert not figures.sites[SITE].sent


def test_any_other_text_is_refused() -> None:
    with pytest.raises(ValueError, match="html"):
        Figures(100).take("<html>503</html>")
