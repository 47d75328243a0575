"""Parts for tests of the frame: each is a module's ``measure``, run in a process of its own."""

from lab.bench.accuracy.result import Bar, Effort, Figure, Headline, Result, Row, Table, Tell


def measure(effort: Effort, tell: Tell) -> Result:
    tell(f"seed {effort.seed}")
    row = Row("8.4 Mbit/s", 8.4, Figure.of([8.3, 8.4, 8.6]), {"iperf3": 7.9}, 0.5, {"MB": 2})
    return Result(
        (Table("capacity, Mbit/s", (row,), decimals=2, ratio="error to iperf3's"),),
        (Bar("within 1 %", met=effort.times(1, 2) == 1),),
        (Headline("capacity of 8.4 Mbit/s", "8.4", "8.40", "iperf3 7.9"),),
    )
