"""The comparison agrees with the truth and with nothing else."""

from collections import Counter
from dataclasses import replace

import pytest

from lab.demo.compare import FigureComparison, binomial_interval, compare, compare_state, is_complete
from lab.demo.figures import Capacity, SiteFigures
from lab.demo.sites import LINES, DemoLine
from lab.links.line import EmulatedLineCounters
from lab.links.link import LinkReport, OwnLosses

LYCEE, COLLEGE, HOSPITAL, FIRM = LINES


def account(down: int = 3_000_000, up: int = 2_000_000, **own: object) -> LinkReport:
    """Return the account of a link that so many bytes crossed."""
    return LinkReport(
        EmulatedLineCounters(delivered_bytes=down), EmulatedLineCounters(offered_bytes=up), **own
    )  # type: ignore[arg-type]


LINK = account()


def measured(line: DemoLine) -> SiteFigures:
    """Figures of a faithful instrument."""
    truth_s = (line.down.delay_us + line.up.delay_us + 300) / 1e6
    directions = {"down": line.down, "up": line.up}
    return SiteFigures(
        state="suspect" if line is FIRM else "ok",
        passed={name: one.rate_bps >= 8e6 for name, one in directions.items()},
        capacity={
            name: Capacity(min(one.rate_bps * 1.001, 8e6), exact=one.rate_bps < 8e6)
            for name, one in directions.items()
        },
        rtt_min_s=dict.fromkeys(line.site.dscps, truth_s),
        sent=Counter(up=1000, down=990),
        lost=Counter({name: round(1000 * one.loss) for name, one in directions.items()}),
        bytes_spent=Counter(down=2_999_999, up=2_000_000),
        peer_comparisons=Counter(agree=4),
    )


def disagreeing(rows: list[FigureComparison]) -> list[str]:
    return [row.figure for row in rows if not row.agrees]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.site.name)
def test_faithful_figures_agree(line: DemoLine) -> None:
    assert disagreeing(compare(line, measured(line), LINK)) == []


def with_down(line: DemoLine, **changes: float) -> DemoLine:
    return replace(line, down=replace(line.down, **changes))


WRONG_TRUTHS = [
    (
        "a line below the floor that passes",
        LYCEE,
        {"rate_bps": 7_800_000},
        ["state", "verdict down", "capacity down"],
    ),
    ("a line above the floor that fails", FIRM, {"rate_bps": 20_000_000}, ["verdict down", "capacity down"]),
    ("a deficit 3 % larger", FIRM, {"rate_bps": 6_300_000}, ["capacity down"]),
    ("a deficit 3 % smaller", FIRM, {"rate_bps": 6_700_000}, ["capacity down"]),
    ("2 ms more delay", COLLEGE, {"delay_us": 18_000}, ["RTT min, DSCP 0"]),
    ("2 ms less delay", COLLEGE, {"delay_us": 14_000}, ["RTT min, DSCP 0"]),
    ("more delay in two classes", HOSPITAL, {"delay_us": 6_000}, ["RTT min, DSCP 0", "RTT min, DSCP 46"]),
    ("loss where there was none", COLLEGE, {"loss": 0.01}, ["loss down"]),
    ("no loss where there was some", FIRM, {"loss": 0.0}, ["loss down"]),
    ("four times the loss", FIRM, {"loss": 0.04}, ["loss down"]),
]


@pytest.mark.parametrize(("why", "line", "wrong", "found"), WRONG_TRUTHS)
def test_a_wrong_truth_disagrees(why: str, line: DemoLine, wrong: dict[str, float], found: list[str]) -> None:
    assert disagreeing(compare(with_down(line, **wrong), measured(line), LINK)) == found, why


def test_what_was_not_measured_disagrees() -> None:
    rows = compare(HOSPITAL, SiteFigures(), LINK)
    assert disagreeing(rows) == [row.figure for row in rows]
    assert {row.measured for row in rows} == {"not measured", "0.000 MB"}


def test_at_least_is_no_capacity_of_a_line_below_the_floor() -> None:
    figures = measured(FIRM)
    figures.capacity["down"] = Capacity(6.5e6, exact=False)
    assert disagreeing(compare(FIRM, figures, LINK)) == ["capacity down"]


def test_more_than_the_line_carries_disagrees() -> None:
    figures = measured(COLLEGE)
    figures.capacity["up"] = Capacity(8.6e6, exact=False)
    assert disagreeing(compare(COLLEGE, figures, LINK)) == ["capacity up"]


@pytest.mark.parametrize(("down", "up"), [(2_999_998, 2_000_000), (3_000_000, 1_999_999)])
def test_bytes_measured_beside_the_link_disagree(down: int, up: int) -> None:
    expected = "crossed down" if down < 2_999_999 else "crossed up"
    assert disagreeing(compare(LYCEE, measured(LYCEE), account(down, up))) == [expected]


@pytest.mark.parametrize("told", [Counter(agree=9, disagree=1), Counter(), Counter({"agent-only": 3})])
def test_sides_that_disagree_or_never_met_disagree(told: "Counter[str]") -> None:
    figures = measured(LYCEE)
    figures.peer_comparisons = told
    assert disagreeing(compare(LYCEE, figures, LINK)) == ["peer comparison"]


def test_states() -> None:
    assert compare_state("Besse", "waiting", "waiting").agrees
    assert not compare_state("Besse", "waiting", "ok").agrees
    assert not compare_state("Besse", "waiting", "").agrees


def test_complete_once_every_figure_is_there() -> None:
    figures = measured(HOSPITAL)
    assert is_complete(HOSPITAL, figures, 1000)
    assert not is_complete(HOSPITAL, figures, 1001)
    figures.peer_comparisons = Counter()
    assert not is_complete(HOSPITAL, figures, 1000)
    figures = measured(HOSPITAL)
    del figures.rtt_min_s[46]
    assert not is_complete(HOSPITAL, figures, 1000)
    assert not is_complete(LYCEE, SiteFigures(), 0)


def test_binomial_interval_against_tables() -> None:
    # 95 %, n = 20, p = 1/2: P(X <= 5) = 0.0207 < 0.025 < P(X <= 6), symmetric.
    assert binomial_interval(20, 0.5, 0.95) == (6, 14)
    # 99.9 %, n = 1000, p = 0.01: close to a Poisson distribution of mean 10.
    assert binomial_interval(1000, 0.01, 0.999) == (2, 22)


@pytest.mark.parametrize(("probability", "only"), [(0.0, 0), (1.0, 50)])
def test_binomial_interval_of_certainty(probability: float, only: int) -> None:
    assert binomial_interval(50, probability, 0.999) == (only, only)


def test_binomial_interval_without_trials() -> None:
    assert binomial_interval(0, 0.3, 0.999) == (0, 0)


def test_packets_that_the_link_lost_itself_are_no_error_of_the_measurement() -> None:
    figures = measured(LYCEE)
    figures.lost["up"] = 35
    assert disagreeing(compare(LYCEE, figures, LINK)) == ["loss up"]
    assert disagreeing(compare(LYCEE, figures, account(up_lost=OwnLosses(overflowed=30, crowded=5)))) == []
    assert disagreeing(compare(LYCEE, figures, account(up_lost=OwnLosses(unsent=34)))) == ["loss up"]
    assert disagreeing(compare(LYCEE, figures, account(down_lost=OwnLosses(unsent=35)))) == ["loss up"]


def test_a_round_trip_is_as_late_as_the_link_says_that_it_was() -> None:
    figures = measured(LYCEE)
    figures.rtt_min_s = {0: figures.rtt_min_s[0] + 0.003}
    assert disagreeing(compare(LYCEE, figures, LINK)) == ["RTT min, DSCP 0"]
    assert disagreeing(compare(LYCEE, figures, account(late_p50=1_700_000))) == []
