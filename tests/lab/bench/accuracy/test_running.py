"""Parts as processes of their own."""

from lab.bench.accuracy import running
from lab.bench.accuracy.part import Part
from lab.bench.accuracy.result import BenchEffort


def part(name: str, *, minutes: float = 1.0, alone: bool = True) -> Part:
    return Part(name, f"{name}?", f"tests.lab.bench.accuracy.{name}", minutes, {}, alone)


def test_a_failing_part_does_not_stop_the_others() -> None:
    said: list[str] = []
    parts = [part("crashing"), part("parts", alone=False)]
    crashed, measured = running.run_all(parts, BenchEffort(seed=7), said.append)
    assert [bar.met for bar in measured.result.bars] == [True]
    assert measured.result.tables[0].rows[0].others == {"iperf3": 7.9}
    assert "parts: seed 7" in said
    [bar] = crashed.result.bars
    assert not bar.met
    assert bar.text.startswith("did not finish (status 70): ")
    assert "ZeroDivisionError: no link today" in bar.text
    assert (crashed.name, crashed.question) == ("crashing", "crashing?")


def test_a_part_beyond_its_deadline_is_terminated() -> None:
    said: list[str] = []
    [late] = running.run_all([part("endless", minutes=1.5 / 60)], BenchEffort(), said.append)
    assert [bar.met for bar in late.result.bars] == [False]
    assert said[-1] == "endless: removed its links"
