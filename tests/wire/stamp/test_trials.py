import pytest

from wire.stamp import trials
from wire.stamp.trials import BURST_TRIALS, TRIALS_A_SECOND, TokenBucket, TrialBudget

S = 1_000_000_000
HERE = ("192.0.2.1", 5)


def tried(budget: TrialBudget, sources: list[tuple[str, int]], now: int, *, failed: bool = True) -> int:
    """Number of packets that are tried with 256 keys."""
    count = 0
    for source in sources:
        if budget.allows(source, 256, now):
            budget.spend(source, 256, now, failed=failed)
            count += 1
    return count


@pytest.mark.parametrize(("sources", "at_once", "a_second"), [
    ([HERE] * 100, 3, 1),
    ([("192.0.2.1", port) for port in range(100)], BURST_TRIALS // 512, BURST_TRIALS // 512),
    ([(f"192.0.2.{host}", 5) for host in range(100)], BURST_TRIALS // 256, BURST_TRIALS // 256),
])  # fmt: skip
def test_bounds_of_a_flow_an_address_and_all(
    sources: list[tuple[str, int]], at_once: int, a_second: int
) -> None:
    budget = TrialBudget()
    assert tried(budget, sources, 0) == at_once
    assert tried(budget, sources, 0) == 0
    assert tried(budget, sources, S) == a_second


def test_one_address_leaves_half_to_the_others() -> None:
    budget, one, other = TrialBudget(), 0, 0
    for now in range(0, 10 * S, S // 500):
        one += tried(budget, [("192.0.2.1", now % 9973)], now)
        other += tried(budget, [(f"10.0.0.{now % 251}", now % 9973)] * (now % (S // 25) == 0), now)
    assert one == pytest.approx(10 * TRIALS_A_SECOND / 2 / 256, rel=0.05)
    assert other == 250


def test_a_flow_that_is_verified_is_forgiven() -> None:
    budget = TrialBudget()
    assert tried(budget, [HERE] * 2, 0) == 2
    assert tried(budget, [HERE], 0, failed=False) == 1
    assert tried(budget, [HERE] * 9, S) == 3


def test_a_clock_that_is_set_neither_fills_nor_blocks_a_bucket() -> None:
    bucket = TokenBucket(10, 100, 50 * S)
    bucket.tokens = 0
    assert bucket.refill(10**6 * S) == 10
    assert bucket.refill(0) == 10
    assert bucket.refill(S) == 20


def test_tables_are_bounded() -> None:
    budget = TrialBudget(10**9)
    for number in range(10_000):
        budget.spend((str(number), number), 1, number, failed=True)
    assert len(budget._flows) == len(budget._hosts) == trials.MOST_KNOWN
