"""Judgement of floor verdicts beside iperf3's, and one short real run."""

import pytest

from lab.bench.accuracy.cases import floor
from lab.bench.accuracy.cases.floor import FloorCase
from lab.bench.accuracy.result import BenchEffort
from tests.lab.bench.accuracy.readings import reading
from tests.servers import require
from wire.records import Direction, Verdict

CUBIC = "iperf3 cubic 3 s"


def case(rate: float, *verdicts: Verdict, direction: Direction = Direction.DOWN) -> FloorCase:
    made = FloorCase(rate, direction)
    made.verdicts.readings += [reading(verdict) for verdict in verdicts]
    made.megabytes += [2.0] * len(verdicts)
    return made


def missed(*cases: FloorCase, runs: int = 20) -> list[str]:
    return [bar.text for bar in floor.judge(cases, runs).bars if not bar.met]


def test_right_verdicts_are_shown_beside_iperf3s() -> None:
    good, bad = case(8.4, *[Verdict.PASS] * 20), case(7.6, *[Verdict.FAIL] * 20)
    good.others[CUBIC].rates_bps += [7.9e6, 8.1e6]
    good.others[CUBIC].megabytes += [3.0, 3.4]
    assert missed(good, bad) == []
    verdicts, costs = floor.judge([good, bad], 20).tables
    assert [(row.truth, row.ours) for row in verdicts.rows] == [("yes", "20 / 0"), ("no", "20 / 0")]
    assert verdicts.rows[0].others[CUBIC] == "1 / 1"
    assert costs.rows[0].ratio == pytest.approx(2.0 / 3.2)


def test_a_wrong_verdict_misses_its_bar() -> None:
    for rate, wrong in ((7.8, Verdict.PASS), (8.2, Verdict.FAIL)):
        far = case(20, *[Verdict.PASS] * 20)
        assert missed(far, case(rate, *[wrong] * 20)) == [
            "0 wrong verdicts at 2.5 % or more from the floor: 20"
        ]


def test_undecided_verdicts_count_by_rate_near_the_floor_and_together_farther_off() -> None:
    open_near = case(7.8, *[Verdict.FAIL] * 18, *[Verdict.UNDETERMINED] * 2)
    assert missed(open_near, case(8.4, *[Verdict.PASS] * 20)) == [
        "at least 95 % decisive at each rate 2.5 % or more from the floor: not 7.8 Mbit/s 90.0%"
    ]
    open_far = case(20, *[Verdict.PASS] * 19, Verdict.INVALID)
    assert missed(open_far) == ["at least 99 % decisive at 5 % or more from the floor: 95.0%"]


@pytest.mark.usefixtures("kernel")
def test_a_short_real_run_asks_both_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    require("iperf3")
    monkeypatch.setattr(floor, "RATES", (20,))
    monkeypatch.setattr(floor, "CONTROLS", ("cubic",))
    monkeypatch.setattr(floor, "SECONDS", (3,))
    said: list[str] = []
    result = floor.measure(BenchEffort(runs=1), said.append)
    assert len(said) == 2
    assert result.bars[0].met
    for verdicts, costs in zip(*(table.rows for table in result.tables), strict=True):
        assert verdicts.others == {CUBIC: "1 / 0"}
        ours, theirs = costs.ours, costs.others[CUBIC]
        assert isinstance(ours, floor.SampleSummary)
        assert isinstance(theirs, floor.SampleSummary)
        assert ours.median > 1.9
        assert theirs.median > 2
