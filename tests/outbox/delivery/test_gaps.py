"""Declared gaps on their way, and what a request to send again does to what is under way."""

import random
from itertools import pairwise

from outbox.journal.journal import Change, Row, State
from agent.uplink.window import BATCH_ROWS, SLOWEST_GAPS, WINDOW, Heard, Want, Window
from tests.agent.uplink.test_window import DIGEST, PACE, E, lined, rows
from wire.messages.envelope import EpochRange, Gap, GapReason, Receipt, ReceiptStatus

ALONE = Want(live=False, after=0, limit=0, gaps=True)


def gap(first: int, last: int) -> Gap:
    return Gap(epoch=E, first=first, last=last, reason=GapReason.DROPPED, at_us=0)


def named(*ranges: tuple[int, int]) -> tuple[EpochRange, ...]:
    return tuple(EpochRange(epoch=E, first=first, last=last) for first, last in ranges)


def declaring(*ranges: tuple[int, int]) -> Receipt:
    return Receipt(schema=1, site="A", payload=DIGEST, declared=named(*ranges))


def window() -> Window:
    """Of a journal with nothing in quarantine."""
    subject = Window(PACE, random.Random(1), newest=0, now=0)
    assert subject.want(0) == ALONE
    subject._trial.portion(1)
    subject._trial.chosen(())
    return subject


def send(subject: Window, gaps: list[Gap], now: float, fetched: list[Row] | None = None) -> Want:
    want = subject.want(now)
    assert want is not None
    chosen = subject.choose(want, fetched or [], now, gaps)
    subject.sent(DIGEST, chosen, now, gaps)
    return want


def test_gaps_go_alone_where_there_is_nothing_else() -> None:
    subject = window()
    assert send(subject, [gap(3, 9)], 0) == ALONE
    assert subject.receipt(declaring((3, 9))) == Heard([], list(named((3, 9))))
    assert subject.want(29) is None or subject.want(29) == ALONE
    assert subject.choose(ALONE, [], 40, []) == ()
    assert subject.want(10_000) is None


def test_gaps_ride_along_with_measurements() -> None:
    subject = window()
    subject.committed()
    want = send(subject, [gap(3, 9)], 0, rows(10, 11))
    assert want == Want(live=True, after=0, limit=BATCH_ROWS + 1, gaps=True)
    receipt = lined(ReceiptStatus.COMMITTED, 10, 11)
    heard = subject.receipt(
        Receipt(
            schema=1, site="A", payload=DIGEST, lines=receipt.lines, declared=named((1, 5), (8, 9), (20, 30))
        )
    )
    assert heard == Heard([Change(E, 10, 11, State.COMMITTED)], list(named((3, 5), (8, 9))))


def test_many_gaps_follow_each_other_at_the_backlogs_pace() -> None:
    subject = window()
    moments, now = [], 0.0
    for _ in range(5):
        while subject.want(now) is None:
            now = max(subject.next_wake(now), now + 0.01)
        send(subject, [gap(1, 2)], now)
        subject.receipt(declaring((1, 2)))
        moments.append(now)
    pauses = [round(later - sooner) for sooner, later in pairwise(moments)]
    assert all(22 <= pause <= 38 for pause in pauses)


def test_an_older_collector_is_told_ever_more_seldom() -> None:
    subject = window()
    moments, now = [], 0.0
    for _ in range(11):
        while subject.want(now) is None:
            now = max(subject.next_wake(now), now + 0.01)
        send(subject, [gap(1, 2)], now)
        assert subject.receipt(Receipt(schema=1, site="A", payload=DIGEST)) == Heard([], [])
        moments.append(now)
    pauses = [round(later - sooner) for sooner, later in pairwise(moments)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= PACE.receipt_timeout_s
    assert pauses[-1] == SLOWEST_GAPS * PACE.receipt_timeout_s


def test_a_late_receipt_tells_of_gaps_too() -> None:
    subject = window()
    send(subject, [gap(3, 9)], 0)
    subject.not_published(DIGEST)
    assert subject.receipt(declaring((3, 9))).told == list(named((3, 9)))
    assert subject.receipt(declaring((3, 9))).told == []


def test_gaps_leave_the_last_place_of_the_window_to_live_batches() -> None:
    subject = window()
    for number in range(WINDOW - 1):
        subject.sent(f"{number}" * 64, tuple(rows(number + 1)), 0)
    assert subject.want(1) is None
    subject.committed()
    assert subject.want(1) is not None


def test_a_request_to_send_again_ends_what_is_under_way() -> None:
    subject = window()
    subject.committed()
    send(subject, [gap(3, 9)], 0, rows(1, 2))
    subject.forget(1)
    assert subject.in_flight() == 0
    # What the ledger before its restoration said, or another, is no receipt of the one that asks.
    assert subject.receipt(lined(ReceiptStatus.COMMITTED, 1, 2)) == Heard([], [])
    want = subject.want(40)
    assert want == Want(live=False, after=0, limit=BATCH_ROWS + 1, gaps=True)
