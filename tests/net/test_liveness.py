"""Liveness and back-off, with times passed in."""

import pytest

from net.liveness import ANSWER_WITHIN_S, ASK_AFTER_S, STABLE_S, Backoff, Liveness


def test_a_silent_link_is_found_dead_within_90_seconds() -> None:
    link = Liveness(100.0)
    assert link.due_in(100.0) == ASK_AFTER_S
    asked = 100.0 + ASK_AFTER_S
    assert link.due_in(asked) == 0
    link.unanswered(asked)
    assert link.lost
    assert ASK_AFTER_S + ANSWER_WITHIN_S <= 90


def test_a_broker_that_acknowledges_gets_no_request() -> None:
    link = Liveness(0.0)
    for now in range(0, 1000, 20):
        link.acknowledged(float(now))
        link.acknowledged(now - 5.0)  # an older one changes nothing
        assert link.due_in(float(now)) == ASK_AFTER_S
    assert not link.lost


def test_a_missing_answer_followed_by_a_later_one_is_no_dead_link() -> None:
    link = Liveness(0.0)
    link.acknowledged(12.0)
    link.unanswered(10.0)
    assert not link.lost
    link.unanswered(13.0)
    assert link.lost


def test_the_pause_grows_to_a_minute_and_never_overflows() -> None:
    backoff = Backoff()
    pauses = []
    for _ in range(5000):
        pauses.append(backoff.longest_s)
        backoff.ended(0.0)
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses[-1] == 60


@pytest.mark.parametrize(("lasted_s", "longest_s"), [(0.0, 16), (STABLE_S, 16), (STABLE_S + 1, 1)])
def test_only_a_stable_connection_resets_the_pause(lasted_s: float, longest_s: float) -> None:
    backoff = Backoff()
    for _ in range(3):
        backoff.ended(0.0)
    backoff.ended(lasted_s)
    assert backoff.longest_s == longest_s
