"""Bars of the load benchmark."""

from lab.bench.load import LoadRow
from lab.bench.load_tools import Cost
from wire.records import Direction

GB = 10**9


def cost(received: float = 1e9, *, loss: float = 0.0, cpu_s: float = 1.0) -> Cost:
    return Cost(1e9, received, loss, GB, cpu_s / 2, cpu_s / 2)


def row(rate: int, ours: list[Cost], udp: list[Cost]) -> LoadRow:
    return LoadRow("loopback", Direction.UP, rate, ours, udp)


def test_a_load_received_at_less_cost_misses_nothing() -> None:
    assert row(1000, [cost(), cost(9.95e8), cost(5e8, loss=0.5)], [cost(cpu_s=1.1)]).faults() == []


def test_rate_and_loss_have_bars_at_a_gigabit_only() -> None:
    slow = [cost(9.8e8, loss=0.01)]
    assert row(1000, slow, []).faults() == [
        "loopback up 1000 Mbit/s: 98.00 % of the rate was received",
        "loopback up 1000 Mbit/s: 1.000 % of the packets were lost",
    ]
    assert row(500, [cost(4e8)], []).faults() == []


def test_more_processor_time_than_iperf3_is_a_missed_bar() -> None:
    assert row(100, [cost(cpu_s=2.0)], [cost(cpu_s=1.5)]).faults() == [
        "loopback up 100 Mbit/s: 2.00 CPU-s/GB, more than iperf3's 1.50"
    ]


def test_a_row_without_measurements_is_a_missed_bar() -> None:
    empty = row(8, [], [])
    assert empty.faults() == ["loopback up 8 Mbit/s: nothing was measured"]
    empty.problems.append("our client: no-answer")
    assert empty.faults() == ["loopback up 8 Mbit/s: our client: no-answer"]
