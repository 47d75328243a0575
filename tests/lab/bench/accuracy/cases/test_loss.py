"""Loss and reordering: the sums by value, one short real run."""

import pytest

from lab.bench.accuracy.cases import loss
from lab.bench.accuracy.cases.loss import Case
from lab.bench.accuracy.result import Effort
from tests.servers import require
from wire.records import Direction

UP, DOWN = Direction.UP, Direction.DOWN


def case(direction: Direction, true: int, told: dict[Direction, int], kind: str = "loss") -> Case:
    made = Case(kind, direction, 0.01)
    made.ours.add(6000, true, told)
    return made


def met(*cases: Case) -> list[bool]:
    return [bar.met for bar in loss.judge(cases).bars]


def test_what_was_dropped_and_told_in_its_direction_meets_every_bar() -> None:
    assert met(case(UP, 61, {UP: 61, DOWN: 0}), case(DOWN, 55, {UP: 0, DOWN: 55}, "reordering")) == [True] * 3


def test_a_direction_that_was_confused_misses_its_bar() -> None:
    assert met(case(UP, 61, {UP: 60, DOWN: 1})) == [True, False, True]


def test_packets_that_were_not_found_miss_the_bar_of_the_count() -> None:
    assert met(case(UP, 61, {UP: 20, DOWN: 0})) == [False, True, True]


def test_one_case_may_be_outside_of_the_settings_interval_two_may_not() -> None:
    astray = case(UP, 90, {UP: 90, DOWN: 0})
    assert met(astray) == [True, True, True]
    assert met(astray, astray) == [True, True, False]


def test_a_case_that_was_never_told_misses_the_bar() -> None:
    assert met(Case("loss", UP, 0.05)) == [False, True, True]


def test_losses_of_irtt_are_read_by_direction() -> None:
    text = '{"stats": {"packets_sent": 100, "server_packets_received": 97, "packets_received": 92}}'
    assert loss.irtt_losses(text) == {UP: 3, DOWN: 5}


@pytest.mark.usefixtures("kernel")
def test_a_short_real_run_finds_exactly_what_the_link_did(monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("ping", "irtt"):
        require(program)
    monkeypatch.setattr(loss, "LOSSES", (0.05,))
    monkeypatch.setattr(loss, "PACKETS", 300)
    said: list[str] = []
    result = loss.measure(Effort(runs=1), said.append)
    assert len(said) == 4
    assert result.bars[1].met
    lost, reordered = result.tables
    for row in (*lost.rows, *reordered.rows):
        true = str(row.truth).split()[0]
        told = str(row.ours)
        assert "untold" in told or true in told.replace(",", "").split()
