"""Judgement of searches and loads, and one real search."""

import pytest

from agent.task.task import Reading
from lab.bench import load as bench_load
from lab.bench.accuracy.cases import capacity
from lab.bench.accuracy.cases.capacity import CapacityCase
from lab.bench.load_tools import Cost
from wire.records import Algorithm, Bound, CapacityValues, Direction, LineCounters, Outcome

UP = Direction.UP


def searched(maximum_mbps: float, *, outcome: Outcome = Outcome.OK, bound: Bound | None = None) -> Reading:
    values = CapacityValues(
        maximum_bps=maximum_mbps * 1e6, maximum_at_us=0, maximum_loss_ratio=0.0, interval_us=1_000_000,
        received_bps=1e6, sent_bps=1e6, loss_ratio=0.0, algorithm=Algorithm.B,
        line_counters=LineCounters.INLINE, intervals=(), bound=bound,
    )  # fmt: skip
    return Reading(outcome, values)


def load(ours_s: float, theirs_s: float, place: str = bench_load.JOINED) -> bench_load.LoadRow:
    def cost(cpu_s: float) -> Cost:
        return Cost(1e9, 1e9, 0.0, 10**9, cpu_s / 2, cpu_s / 2)

    return bench_load.LoadRow(place, UP, 1000, [cost(ours_s)], [cost(theirs_s)], [cost(0.5)])


def missed(cases: list[CapacityCase], loads: list[bench_load.LoadRow], runs: int = 2) -> list[str]:
    return [bar.text for bar in capacity.judge(cases, loads, runs).bars if not bar.met]


def test_searches_within_one_percent_and_cheap_loads_miss_nothing() -> None:
    case = CapacityCase(1000, UP, [searched(1001, bound=Bound.REQUESTED_RATE), searched(995)])
    result = capacity.judge([case], [load(1.0, 2.0)], 2)
    assert all(bar.met for bar in result.bars)
    row = result.tables[0].rows[0]
    assert row.more["error, %"] == pytest.approx(0.5)
    assert row.more["of the median, %"] == pytest.approx(0.2)
    assert row.more["limited by"] == "requested-rate (1)"
    assert result.tables[1].rows[0].ratio == 0.5
    assert [line.ours for line in result.headlines] == ["0.20%", "1.00 to 1.00"]


def test_one_wrong_search_misses_its_bar_beside_a_right_median() -> None:
    case = CapacityCase(8, UP, [searched(8), searched(8), searched(7.9)])
    [text] = missed([case], [load(1, 2)])
    assert text.startswith("every search is within 1 % of the shaped IP rate, or names")


def test_a_lower_bound_is_wrong_only_if_too_high() -> None:
    low = CapacityCase(500, UP, [searched(391, bound=Bound.SENDER), searched(500), searched(500)])
    assert missed([low], [load(1, 2)]) == []
    high = CapacityCase(500, UP, [searched(509, bound=Bound.SENDER), searched(500), searched(500)])
    assert len(missed([high], [load(1, 2)])) == 1


def test_a_median_of_lower_bounds_misses_its_bar() -> None:
    case = CapacityCase(500, UP, [searched(391, bound=Bound.SENDER), searched(400, bound=Bound.SENDER)])
    assert missed([case], [load(1, 2)]) == [
        "the median of the searches is within 1 % at each rate and direction; not 500 Mbit/s up"
    ]


def test_a_costly_gigabyte_and_a_failed_load_miss_their_bars() -> None:
    costly = load(2.5, 2.0)
    costly.problems.append("iperf3: no route")
    found = missed([], [costly, load(2.5, 2.0, "kernel link")])
    assert [text.partition("; ")[2] for text in found] == [
        "not kernel link, GRO up 1000 Mbit/s",
        "not kernel link, GRO up 1000 Mbit/s: iperf3: no route",
    ]
