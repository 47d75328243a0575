"""Judgement of an observed agent, and real import times."""

from collections import Counter

import pytest

from agent.probes import PROBES
from lab.bench.accuracy.cases import agent
from lab.bench.accuracy.result import SampleSummary
from lab.bench.agent import ObservedAgent
from lab.bench.process_usage import Activity, ActivitySpan, MemoryUse, Sample

S = 1_000_000
IMPORTS = {"the agent": SampleSummary(5, 101.0, 99.0, 110.0)}
ALL = Counter({f"{name} ok": 1 for name in PROBES})


def observed(*megabytes: float, outcomes: Counter[str] = ALL, cpu_ms: float = 2.0) -> ObservedAgent:
    """Return an agent with one sample a second, a trace after the second sample and a search after the
    fourth.
    """
    samples = [
        Sample(place * S, MemoryUse(round(size * 1e6), 0, round(size * 1e6)), round(place * cpu_ms * 1e6))
        for place, size in enumerate(megabytes)
    ]
    spans = [
        ActivitySpan(round(1.2 * S), round(1.4 * S), Activity.TRACE, "path"),
        ActivitySpan(round(3.2 * S), round(4.5 * S), Activity.SEARCH, "capacity down"),
    ]
    largest = max(sample.weight.resident for sample in samples)
    return ObservedAgent([("python3", MemoryUse(9_000_000, 0, 0))], samples, spans, outcomes, 2, largest)


def missed(one: ObservedAgent) -> list[str]:
    return [bar.text for bar in agent.judge(one, IMPORTS).bars if not bar.met]


def test_an_agent_within_its_budgets_misses_nothing() -> None:
    result = agent.judge(observed(30, 30.1, 30.2, 30.2, 31, 30.5, 30.5, 30.5), IMPORTS)
    assert all(bar.met for bar in result.bars)
    weights, works, times = result.tables
    rows = {row.case: row for row in weights.rows}
    assert (rows["path"].truth, rows["path"].ours) == (30.1, 30.2)
    assert rows["capacity down"].more == {"most": 31.0, "n": 1}
    assert rows["largest ever"].ours == 31.0
    assert {row.case: row.more["n"] for row in works.rows} == {
        "capacity search": 1, "floor test": 0, "path trace": 1, "STAMP train": 0, "idle": 0,
    }  # fmt: skip
    assert times.rows[0].ours == IMPORTS["the agent"]
    assert result.headlines[0].ours == "31.0 MB; 0.20%; 101 ms"


@pytest.mark.parametrize(("one", "bars"), [
    (observed(30, 30, 30.4, 30.4, 31, 30), ["a path trace does not increase"]),
    (observed(30, 30, 30, 30, 37, 30), ["largest RSS 37.0 MB"]),
    (observed(30, 30, 30, 30, 30, 30, 30, 30, cpu_ms=9), ["idle 0.90%"]),
    (observed(30, 30, 30, 30, outcomes=Counter()), ["every probe measured, except floor"]),
    (observed(30), ["a path trace does not increase"]),
])  # fmt: skip
def test_a_figure_beyond_its_budget_misses_its_bar(one: ObservedAgent, bars: list[str]) -> None:
    found = missed(one)
    assert len(found) == len(bars)
    assert all(text.startswith(bar) for text, bar in zip(found, bars, strict=True))


def test_imports_are_timed_in_new_interpreters() -> None:
    found = dict(agent._import_times(1))
    assert found.keys() == agent.IMPORTS.keys()
    assert found["the agent"].median > found["python3 alone"].median
