import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.floor.rules.sequential_test import (
    CHOSEN,
    MOST_RETESTS,
    SequentialState,
    SequentialTest,
    resumed,
)
from wire.records import FloorValues, LineCounters, Standing, Verdict

MINUTE = 60_000_000
SPACING = 5 * MINUTE
EIGHT = 8e6
FAIL, PASS = Verdict.FAIL, Verdict.PASS
INDECISIVE = [Verdict.UNDETERMINED, Verdict.INVALID, Verdict.UNCONFIRMED, Verdict.GREY]


def after(
    verdicts: list[Verdict], begin: SequentialState | None = None, test: SequentialTest = CHOSEN
) -> SequentialState:
    subject = begin or SequentialState()
    for index, verdict in enumerate(verdicts, 1):
        at = (subject.counted_us or 0) + index * SPACING
        subject = subject.after(verdict, at, SPACING, test)
    return subject


def condemned() -> SequentialState:
    return after([FAIL] * 20).after_search(7e6, EIGHT)


def test_one_fail_makes_a_suspect_only() -> None:
    subject = after([PASS, FAIL])
    assert (subject.standing, subject.evidence) == (Standing.SUSPECT, pytest.approx(CHOSEN.of_fail))
    assert subject.wants_retest(FAIL)
    assert not subject.awaits_search()


def test_the_boundaries_are_walds() -> None:
    test = SequentialTest(p0=0.1, p1=0.5, alpha=0.01, beta=0.05)
    assert test.condemns_at == pytest.approx(math.log(95))
    assert test.clears_at == pytest.approx(math.log(0.05 / 0.99))
    assert test.of_fail == pytest.approx(math.log(5))
    assert test.of_pass == pytest.approx(math.log(0.5 / 0.9))
    assert not after([FAIL] * 2, test=test).awaits_search(test)
    assert after([FAIL] * 3, test=test).awaits_search(test)


def test_fails_alone_do_not_condemn_the_search_must_agree() -> None:
    subject = after([FAIL] * 20)
    assert subject.awaits_search()
    assert subject.standing is Standing.SUSPECT
    assert subject.after_search(7.84e6, EIGHT).standing is Standing.CONDEMNED
    assert subject.after_search(7.85e6, EIGHT) == SequentialState(counted_us=subject.counted_us)


def test_without_a_search_retests_end() -> None:
    subject, asked = after([FAIL]), 0
    while subject.wants_retest(FAIL):
        subject, asked = after([FAIL], subject), asked + 1
    assert (asked, subject.awaits_search()) == (MOST_RETESTS, True)


def test_a_suspect_that_passes_again_is_clear_and_starts_from_nothing() -> None:
    subject = after([FAIL] + [PASS] * 5)
    assert (subject.standing, subject.evidence) == (Standing.CLEAR, 0.0)
    assert not subject.wants_retest(PASS)


@pytest.mark.parametrize("verdict", INDECISIVE)
@pytest.mark.parametrize("begin", [SequentialState(), after([FAIL]), condemned()])
def test_indecisive_verdicts_add_no_evidence(verdict: Verdict, begin: SequentialState) -> None:
    subject = after([verdict] * 50, begin)
    assert (subject.standing, subject.evidence) == (begin.standing, begin.evidence)
    assert not subject.wants_retest(verdict)


def test_a_suspect_is_tested_again_after_a_doubt_and_left_to_the_schedule_after_three() -> None:
    subject, asked = after([FAIL]), []
    for _ in range(4):
        subject = after([Verdict.UNDETERMINED], subject)
        asked.append(subject.wants_retest(Verdict.UNDETERMINED))
    assert asked == [True, True, False, False]
    assert after([FAIL], subject).wants_retest(FAIL)


def test_tests_less_than_five_minutes_apart_are_one() -> None:
    first = SequentialState().after(FAIL, 0, SPACING)
    assert first.after(FAIL, SPACING - 1, SPACING) == first
    assert first.after(FAIL, SPACING, SPACING).evidence > first.evidence


def test_a_boot_clock_that_started_again_blocks_no_verdict() -> None:
    late = SequentialState(Standing.SUSPECT, 1.0, counted_us=10**12)
    assert late.after(FAIL, MINUTE, SPACING).evidence > 1.0


def test_a_condemned_line_is_cleared_by_the_same_evidence_all_the_way_back() -> None:
    needed = math.ceil((CHOSEN.condemns_at - CHOSEN.clears_at) / -CHOSEN.of_pass)
    almost = after([PASS] * (needed - 1), condemned())
    assert almost.standing is Standing.CONDEMNED
    assert after([PASS], almost).standing is Standing.CLEAR


def test_a_condemned_line_that_fails_during_recovery_is_retested_up_to_full_evidence() -> None:
    subject = after([PASS] * 10, condemned())
    assert not subject.wants_retest(PASS)
    subject, retests = after([FAIL], subject), 0
    while subject.wants_retest(FAIL):
        subject, retests = after([FAIL], subject), retests + 1
    assert retests >= 1
    assert (subject.standing, subject.evidence) == (Standing.CONDEMNED, CHOSEN.condemns_at)


@given(seed=st.integers(), share=st.floats(0, 1))
def test_evidence_stays_between_its_boundaries_and_retests_end(seed: int, share: float) -> None:
    chance, subject, asked = random.Random(seed), SequentialState(), 0
    for at in range(1, 400):
        verdict = FAIL if chance.random() < share else PASS
        subject = subject.after(verdict, at * SPACING, SPACING)
        assert CHOSEN.clears_at < subject.evidence <= CHOSEN.condemns_at
        assert (subject.standing is Standing.CLEAR) is (subject.evidence == 0.0)
        asked = asked + 1 if subject.wants_retest(verdict) else 0
        assert asked <= MOST_RETESTS
        if subject.awaits_search():
            subject = subject.after_search(7e6, EIGHT)


def test_it_goes_on_from_its_record() -> None:
    values = FloorValues(
        verdict=FAIL,
        floor_bps=EIGHT,
        line_counters=LineCounters.INLINE,
        tests=(),
        at_least_bps=7e6,
        standing=Standing.SUSPECT,
        evidence=3.3,
    )
    assert resumed(values) == SequentialState(Standing.SUSPECT, 3.3)
