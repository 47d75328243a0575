"""When the peer sends, and what receipts change: by value, time passed in."""

import random

import pytest

from peer.outbox import BATCH_BYTES, BATCH_ROWS, WINDOW, Outbox, Pace
from peer.record import Entry, Identity
from peer.record_file import State
from tests.peer.examples import entries
from wire.messages.envelope import SCHEMA, Reason, ReceiptStatus
from wire.messages.peer_tests import PeerReceipt, PeerReceiptLine
from wire.records import Direction

PACE = Pace(interval_s=10, backlog_interval_s=1, receipt_timeout_s=60)
DIGEST = "0" * 64


class Middle(random.Random):
    """Draws the middle of every interval."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def outbox(now: float = 0.0) -> Outbox:
    box = Outbox(PACE, Middle(), now)
    assert box.release_due(now)
    return box


def digest(number: int) -> str:
    return f"{number:064x}"


def line(identity: Identity, status: ReceiptStatus, reason: Reason | None = None) -> PeerReceiptLine:
    session, direction, start_us = identity
    return PeerReceiptLine(
        session=session, direction=Direction(direction), start_us=start_us, status=status, reason=reason
    )


def receipt(*lines: PeerReceiptLine, payload: str = DIGEST, reason: Reason | None = None) -> PeerReceipt:
    return PeerReceipt(schema=SCHEMA, peer="peer", payload=payload, lines=lines, reason=reason)


def send(box: Outbox, now: float, waiting: list[Entry], name: str = DIGEST) -> tuple[Entry, ...]:
    assert box.want(now) == BATCH_ROWS + 1
    chosen = box.choose(waiting, now)
    box.sent(name, chosen, now)
    return chosen


def test_at_the_start_everything_may_be_waiting_and_then_only_what_is_new() -> None:
    box = outbox()
    assert send(box, 0, entries(1, 2)) == tuple(entries(1, 2))
    assert box.flying == {one.identity for one in entries(1, 2)}
    assert box.want(5) == 0
    box.added()
    assert box.want(5) == 0
    assert box.next_wake(5) == 10
    assert box.want(10) > 0
    assert box.choose([], 10) == ()
    assert box.want(20) == 0


def test_a_backlog_goes_batch_by_batch_within_its_bounds() -> None:
    box = outbox()
    many = entries(*range(BATCH_ROWS + 1))
    assert len(send(box, 0, many)) == BATCH_ROWS
    assert box.want(0.5) == 0
    large = [Entry(("s", "up", number), b"x" * 1000) for number in range(BATCH_ROWS + 1)]
    chosen = send(box, 1, large, digest(1))
    assert sum(len(one.record) for one in chosen) <= BATCH_BYTES
    assert len(send(box, 2, [Entry(("s", "up", 1), b"x" * 2 * BATCH_BYTES), *many], digest(2))) == 1


def test_the_window_is_bounded() -> None:
    box = outbox()
    for number in range(WINDOW):
        send(box, number, entries(*range(BATCH_ROWS + 1)), digest(number))
    assert box.want(30) == 0
    box.receipt(receipt(payload=digest(0), reason=Reason.STORAGE))
    assert box.want(30) > 0


def test_without_a_receipt_it_is_sent_again_slower_and_slower() -> None:
    box, now, gaps = outbox(), 0.0, []
    for _ in range(9):
        before = now
        send(box, now, entries(1))
        now += 0.5
        while not box.want(now):
            now += 0.5
        gaps.append(now - before)
        assert box.flying == frozenset()
    assert gaps == sorted(gaps)
    assert gaps[0] == pytest.approx(60, abs=1)
    assert 100 < gaps[-1] <= 60 + 640


def test_a_receipt_may_come_late() -> None:
    box = outbox()
    (one,) = send(box, 0, entries(1))
    assert box.want(60) == 0
    assert box.want(61) > 0
    assert box.receipt(receipt(line(one.identity, ReceiptStatus.COMMITTED))) == {one.identity: State.RECEIVED}
    assert box.receipt(receipt(line(one.identity, ReceiptStatus.COMMITTED))) == {}


def test_what_the_broker_did_not_take_is_sent_again_soon() -> None:
    box = outbox()
    send(box, 0, entries(1))
    box.not_published(DIGEST)
    assert box.flying == frozenset()
    assert box.want(10) > 0


@pytest.mark.parametrize(("status", "reason", "state"), [
    (ReceiptStatus.COMMITTED, None, State.RECEIVED),
    (ReceiptStatus.DUPLICATE, None, State.RECEIVED),
    (ReceiptStatus.CONFLICT, None, State.RECEIVED),
    (ReceiptStatus.REJECTED, Reason.INVALID, State.REJECTED),
    (ReceiptStatus.REJECTED, Reason.STORAGE, None),
])  # fmt: skip
def test_what_each_line_means(status: ReceiptStatus, reason: Reason | None, state: State | None) -> None:
    box = outbox()
    one, two = send(box, 0, entries(1, 2))
    told = box.receipt(receipt(line(one.identity, status, reason), line(("x", "up", 1), status)))
    assert told == ({one.identity: state} if state is not None else {})
    assert two.identity not in box.flying
    assert box.want(10) > 0  # the receipt says nothing of the second


@pytest.mark.parametrize(("reason", "states"), [(Reason.MALFORMED, [State.REJECTED]), (Reason.STORAGE, [])])
def test_a_batch_that_was_refused_as_a_whole(reason: Reason, states: list[State]) -> None:
    box = outbox()
    send(box, 0, entries(1))
    assert list(box.receipt(receipt(reason=reason)).values()) == states


def test_a_receipt_for_a_batch_that_was_never_sent_changes_nothing() -> None:
    box = outbox()
    (one,) = send(box, 0, entries(1))
    assert box.receipt(receipt(line(one.identity, ReceiptStatus.COMMITTED), payload=digest(9))) == {}
    assert box.flying == {one.identity}


def test_rejected_tests_are_released_at_the_start_and_daily() -> None:
    box = Outbox(PACE, Middle(), 0)
    assert [box.release_due(now) for now in (0, 1, 86_399, 86_400, 86_401)] == [
        True,
        False,
        False,
        True,
        False,
    ]
