"""Judgement of loss and reordering, and one short real run."""

import pytest

from lab.bench.accuracy.cases import loss
from lab.bench.accuracy.cases.loss import LossCase
from lab.bench.accuracy.result import BenchEffort
from tests.servers import require
from wire.records import Direction

UP, DOWN = Direction.UP, Direction.DOWN


def case(direction: Direction, true: int, counted: dict[Direction, int], kind: str = "loss") -> LossCase:
    made = LossCase(kind, direction, 0.01)
    made.ours.add(6000, true, counted)
    return made


def met(*cases: LossCase) -> list[bool]:
    return [bar.met for bar in loss.judge(cases).bars]


def test_losses_counted_in_their_direction_meet_every_bar() -> None:
    assert met(case(UP, 61, {UP: 61, DOWN: 0}), case(DOWN, 55, {UP: 0, DOWN: 55}, "reordering")) == [True] * 3


def test_a_confused_direction_misses_its_bar() -> None:
    assert met(case(UP, 61, {UP: 60, DOWN: 1})) == [True, False, True]


def test_missing_losses_miss_the_bar_of_the_count() -> None:
    assert met(case(UP, 61, {UP: 20, DOWN: 0})) == [False, True, True]


def test_one_case_may_be_outside_the_interval_of_the_setting() -> None:
    astray = case(UP, 90, {UP: 90, DOWN: 0})
    assert met(astray) == [True, True, True]
    assert met(astray, astray) == [True, True, False]


def test_losses_of_irtt_are_read_by_direction() -> None:
    text = '{"stats": {"packets_sent": 100, "server_packets_received": 97, "packets_received": 92}}'
    assert loss.irtt_losses(text) == {UP: 3, DOWN: 5}


@pytest.mark.usefixtures("kernel")
def test_a_short_real_run_counts_as_the_link_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("ping", "irtt"):
        require(program)
    monkeypatch.setattr(loss, "LOSSES", (0.05,))
    monkeypatch.setattr(loss, "PACKETS", 300)
    said: list[str] = []
    result = loss.measure(BenchEffort(runs=1), said.append)
    assert len(said) == 4
    assert result.bars[1].met
    lost, reordered = result.tables
    for row in (*lost.rows, *reordered.rows):
        true = str(row.truth).split()[0]
        counted = str(row.ours)
        assert "without direction" in counted or true in counted.replace(",", "").split()
