"""A slice of ``bench-truth``: real verdicts on two kernel links, and the account of them."""

import pytest

from lab.bench.truth.account import totals
from lab.bench.truth.running import measure
from lab.bench.truth.shapes import LineLevel, Shape, ShapeCounters
from tests.lab.conftest import kernel  # noqa: F401 -- a fixture
from tests.starvation import Starvation
from wire.records import Verdict


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("level", list(LineLevel))
def test_verdicts_on_a_link_agree_with_its_log(level: LineLevel, starvation: Starvation) -> None:
    accounts = measure(Shape("slice", counters=ShapeCounters.FRESH), level, 1, "1")
    lines, missed = totals(accounts)
    assert sum(one.verdicts.wrong for one in accounts) == 0
    right = Verdict.PASS if level is LineLevel.ABOVE else Verdict.FAIL
    starvation.expect([one.verdicts.count(right) for one in accounts] == [1, 1], f"{lines} {missed}")


@pytest.mark.usefixtures("kernel")
def test_a_fail_that_no_counters_confirm_is_counted_apart(starvation: Starvation) -> None:
    accounts = measure(Shape("slice", counters=ShapeCounters.NONE), LineLevel.BELOW, 1, "1")
    found = [one.verdicts.count(Verdict.UNCONFIRMED) for one in accounts]
    starvation.expect(found == [1, 1], str([one.problem for one in accounts]))
    assert [one.verdicts.decisive for one in accounts] == [0, 0]
    assert [one.expected for one in accounts] == [1, 1]
