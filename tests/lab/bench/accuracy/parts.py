"""Part for tests of the frame: a module with ``measure``, run in a process of its own."""

from lab.bench.accuracy.result import (
    Bar,
    BenchEffort,
    Headline,
    PartResult,
    ResultRow,
    ResultTable,
    SampleSummary,
    Tell,
)


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    tell(f"seed {effort.seed}")
    row = ResultRow("8.4 Mbit/s", 8.4, SampleSummary.of([8.3, 8.4, 8.6]), {"iperf3": 7.9}, 0.5, {"MB": 2})
    return PartResult(
        (ResultTable("capacity, Mbit/s", (row,), decimals=2, ratio="error to iperf3's"),),
        (Bar("within 1 %", met=effort.times(1, 2) == 1),),
        (Headline("capacity of 8.4 Mbit/s", "8.4", "8.40", "iperf3 7.9"),),
    )
