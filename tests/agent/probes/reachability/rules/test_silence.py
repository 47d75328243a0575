"""Who is silent, by value."""

from agent.probes.reachability.rules.silence import ANSWERS, ASKS, Silence
from tests.agent.probes.reachability.world import at

WAIT_US = 2_000_000


def asked(*seconds: float) -> Silence:
    one = Silence(WAIT_US)
    for second in seconds:
        one.ask(at(second))
    return one


def test_silent_is_who_was_asked_in_vain_often_enough_and_has_had_the_time() -> None:
    one = asked(*range(0, 2 * ASKS, 2))
    last = 2 * (ASKS - 1)
    assert not one.is_silent(at(last + 1.9))
    assert one.is_silent(at(last + 2))
    assert one.since == at(0)
    assert not asked(*range(0, 2 * (ASKS - 1), 2)).is_silent(at(100))


def test_a_late_answer_is_one() -> None:
    one = asked(0, 2, 4, 6)
    one.answer(at(6.5))
    one.ask(at(8))
    assert (one.is_silent(at(20)), one.since, one.known) == (False, at(8), True)


def test_back_is_who_answers_several_times_in_a_row_from_the_first_on() -> None:
    one = asked(0, 2, 4, 6, 8)
    for second in (10, 12):
        one.ask(at(second))
        one.answer(at(second + 0.1))
    one.ask(at(14))
    one.ask(at(16))  # the one before was lost: the row begins anew
    assert one.answers == 0
    for second in (16, 18, 20):
        one.answer(at(second + 0.1))
        assert one.is_back() == (second == 20)
        one.ask(at(second + 2))
    assert (one.back, one.unheard, one.answers) == (at(16.1), at(14), ANSWERS)


def test_a_refusal_is_no_answer_and_no_proof_that_there_is_no_way() -> None:
    one = asked(0, 2, 4)
    one.refuse(at(4.1))
    one.ask(at(6))
    one.ask(at(8))
    assert (one.is_silent(at(10)), one.is_mute(at(10))) == (True, False)
    assert one.refuses_since(at(4))
    assert not one.refuses_since(at(5))
    assert (one.heard(), one.since, one.mute_since) == (at(4.1), at(0), at(6))


def test_somebody_else_is_not_known() -> None:
    one = asked(0)
    one.answer(at(1))
    one.forget()
    assert (one.known, one.answered, one.asks, one.heard()) == (False, None, 0, None)
