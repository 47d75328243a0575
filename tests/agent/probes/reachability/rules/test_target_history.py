"""States of a target: silent, back."""

from agent.probes.reachability.rules.target_history import ANSWERS, POLLS, TargetHistory
from tests.agent.probes.reachability.world import at

WAIT_US = 2_000_000


def polled(*seconds: float) -> TargetHistory:
    one = TargetHistory(WAIT_US)
    for second in seconds:
        one.poll(at(second))
    return one


def test_a_target_is_silent_after_a_row_of_unanswered_polls_and_the_answer_time() -> None:
    one = polled(*range(0, 2 * POLLS, 2))
    last = 2 * (POLLS - 1)
    assert not one.is_silent(at(last + 1.9))
    assert one.is_silent(at(last + 2))
    assert one.unanswered.first == at(0)
    assert not polled(*range(0, 2 * (POLLS - 1), 2)).is_silent(at(100))


def test_a_late_answer_counts() -> None:
    one = polled(0, 2, 4, 6)
    one.answer(at(6.5))
    one.poll(at(8))
    assert (one.is_silent(at(20)), one.unanswered.first, one.known) == (False, at(8), True)


def test_a_target_is_back_after_a_row_of_answers_since_the_first_of_them() -> None:
    one = polled(0, 2, 4, 6, 8)
    for second in (10, 12):
        one.poll(at(second))
        one.answer(at(second + 0.1))
    one.poll(at(14))
    one.poll(at(16))  # the one before was lost: the row starts again
    assert one.answers.count == 0
    for second in (16, 18, 20):
        one.answer(at(second + 0.1))
        assert one.is_back() == (second == 20)
        one.poll(at(second + 2))
    assert (one.answers.first, one.answers.last_missed, one.answers.count) == (at(16.1), at(14), ANSWERS)


def test_refusal_and_acceptance_are_no_answers() -> None:
    one = polled(0, 2, 4)
    one.refuse(at(4.1))
    one.accept(at(4.2))
    one.poll(at(6))
    one.poll(at(8))
    assert (one.is_silent(at(10)), one.known, one.unanswered.first) == (True, False, at(0))
    assert one.refused_since(at(4))
    assert not one.refused_since(at(5))
    assert one.accepted_since(at(4.2))
    assert not one.accepted_since(at(5))


def test_a_replaced_target_is_not_known() -> None:
    one = polled(0)
    one.answer(at(1))
    one.replace()
    assert (one.known, one.last_answer, one.unanswered.count, one.last_refusal) == (False, None, 0, None)
