"""Delivery: the order of batches, and the changes by receipts."""

import random
import tempfile
import tracemalloc
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbox.delivery.delivery import (
    BATCH_BYTES,
    BATCH_EPOCHS,
    BATCH_ROWS,
    MOST_IN_FLIGHT,
    BatchKind,
    Delivery,
    Fetch,
    ReceiptOutcome,
)
from outbox.delivery.in_flight import LATE_BATCHES
from outbox.delivery.pace import Pace
from outbox.journal.journal import Journal
from outbox.publisher import Sender, compose, read
from outbox.rows import Change, Row, State
from tests.outbox.delivery.sites import DIGEST, PACE, E, decode, gap, named, ranges, rows, whole
from tests.outbox.journalled import CLOCK, build, connection
from wire.messages import envelope as messages
from wire.messages.envelope import (
    Envelope,
    EpochMark,
    Fault,
    Gap,
    Reason,
    Receipt,
    ReceiptLine,
    ReceiptStatus,
)

SENDER = Sender("A", "0.1.0", "qos/v1/A/results")
BACKLOG = Fetch(BatchKind.BACKLOG)


def fresh(*, newest: int = 0, pace: Pace = PACE) -> Delivery:
    """Rows of a journal without a gap."""
    subject = Delivery(pace, random.Random(1), decode, newest=newest, now=0)
    subject.choose(Fetch(BatchKind.GAPS, limit=0, gaps=True), [], [], 0)
    assert subject.begin_day(0)
    return subject


def send(
    subject: Delivery, fetched: list[Row], now: float, digest: str = DIGEST, gaps: list[Gap] | None = None
) -> Fetch:
    fetch = subject.next_fetch(now)
    assert fetch is not None
    chosen = subject.choose(fetch, fetched, gaps or [], now)
    subject.sent(digest, fetch, chosen, gaps or [], now)
    return fetch


def test_the_first_row_is_sent_at_once_and_the_next_a_minute_later() -> None:
    subject = fresh()
    assert subject.next_fetch(0) is None
    subject.committed()
    assert send(subject, rows(1), 0) == Fetch(BatchKind.LIVE)
    subject.committed()
    assert subject.next_fetch(59.9) is None
    assert subject.next_wake(10) == 60
    assert subject.next_fetch(60) is not None


def test_new_rows_go_before_the_backlog() -> None:
    subject = fresh(newest=500)
    subject.committed()
    fetch = subject.next_fetch(50)
    assert fetch is not None
    assert (fetch.kind, fetch.after) == (BatchKind.LIVE, 500)


def test_one_place_in_flight_is_kept_for_new_rows() -> None:
    subject = fresh(newest=1000, pace=Pace(60, 1, 60))
    now = 2.0
    for index in range(MOST_IN_FLIGHT - 1):
        send(subject, rows(*range(1000 - 200 * index, 900 - 200 * index, -1)), now, f"{index}" * 64)
        now += 2
    assert subject.in_flight == MOST_IN_FLIGHT - 1
    subject.lost()
    assert subject.next_fetch(now) is None
    subject.committed()
    fetch = subject.next_fetch(now)
    assert fetch is not None
    assert fetch.kind is BatchKind.LIVE


def test_a_batch_is_bounded_in_rows_bytes_and_epochs() -> None:
    subject = fresh(newest=1)
    assert len(subject.choose(BACKLOG, rows(*range(1, 300)), [], 0)) == BATCH_ROWS
    big = subject.choose(BACKLOG, rows(*range(1, 90), size=10_000), [], 0)
    assert sum(len(row.record) for row in big) <= BATCH_BYTES
    assert len(subject.choose(BACKLOG, rows(1, 2, size=10**6), [], 0)) == 1
    many = [Row(n, f"{n:016x}", 1, b"x") for n in range(90, 0, -1)]
    assert len(subject.choose(BACKLOG, many, [], 0)) == BATCH_EPOCHS


def test_rows_in_flight_are_not_sent_again_until_their_time_is_over() -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1, 2), 0)
    subject.released()
    fetch = subject.next_fetch(31)
    assert fetch == Fetch(BatchKind.BACKLOG, skip=frozenset({1, 2}))
    assert subject.next_fetch(60) == BACKLOG


@pytest.mark.parametrize(("receipt", "changes"), [
    (named(ReceiptStatus.COMMITTED, 1, 3), [Change(E, 1, 3, State.COMMITTED)]),
    (named(ReceiptStatus.CONFLICT, 1, 1), [Change(E, 1, 1, State.CONFLICT)]),
    (named(ReceiptStatus.REJECTED, 3, 3, Reason.INVALID), [Change(E, 3, 3, State.REJECTED)]),
    (named(ReceiptStatus.REJECTED, 3, 3, Reason.STORAGE), []),
    (named(ReceiptStatus.COMMITTED, 1, 2**53), [Change(E, 1, 3, State.COMMITTED)]),
    (named(ReceiptStatus.COMMITTED, 4, 9), []),
    (whole(Reason.NEWER_SCHEMA), [Change(E, 1, 3, State.REJECTED)]),
    (whole(Reason.MALFORMED), []),
    (whole(Reason.STORAGE), []),
    (Receipt(schema=1, sender="A", payload=DIGEST), []),
    (whole(Reason.NEWER_SCHEMA, "0" * 64), []),
])  # fmt: skip
def test_a_receipt_changes_only_rows_of_its_own_batch(receipt: Receipt, changes: list[Change]) -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1, 2, 3), 0)
    assert subject.receipt(receipt).changes == tuple(changes)


def test_a_receipt_that_comes_late_or_after_a_failed_publication_still_counts() -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1), 0)
    subject.not_published(DIGEST)
    assert subject.in_flight == 0
    committed = named(ReceiptStatus.COMMITTED, 1, 1)
    assert subject.receipt(committed).changes == (Change(E, 1, 1, State.COMMITTED),)
    assert subject.receipt(committed) == ReceiptOutcome()


def test_silence_slows_the_backlog() -> None:
    subject = fresh(newest=9)
    pauses, now = [], 0.0
    for number in range(6):
        while subject.next_fetch(now) is None:
            now = max(subject.next_wake(now), now + 0.01)
        send(subject, rows(number + 1), now, f"{number:064}")
        began = now
        while subject.next_fetch(now) is None:
            now = max(subject.next_wake(now), now + 0.01)
        pauses.append(now - began)
    assert pauses[0] < 40
    assert pauses[-1] > 100


def test_gaps_go_alone_where_there_is_nothing_else_until_a_receipt_names_them() -> None:
    subject = fresh()
    subject.lost()
    subject._gaps.at = 0
    assert send(subject, [], 0, gaps=[gap(3, 9)]) == Fetch(BatchKind.GAPS, limit=0, gaps=True)
    outcome = subject.receipt(Receipt(schema=1, sender="A", payload=DIGEST, declared=ranges((3, 9))))
    assert outcome == ReceiptOutcome(declared=ranges((3, 9)))
    assert subject.next_fetch(1) == Fetch(BatchKind.GAPS, limit=0, gaps=True)
    subject.choose(Fetch(BatchKind.GAPS, limit=0, gaps=True), [], [], 1)
    assert subject.next_fetch(10_000) is None


def test_gaps_ride_along_with_rows() -> None:
    subject = fresh()
    subject.lost()
    subject.committed()
    subject._gaps.at = 0
    assert send(subject, rows(10, 11), 0, gaps=[gap(3, 9)]) == Fetch(BatchKind.LIVE, gaps=True)
    lines = named(ReceiptStatus.COMMITTED, 10, 11).lines
    declared = ranges((1, 5), (8, 9), (20, 30))
    outcome = subject.receipt(Receipt(schema=1, sender="A", payload=DIGEST, lines=lines, declared=declared))
    assert outcome == ReceiptOutcome((Change(E, 10, 11, State.COMMITTED),), ranges((3, 5), (8, 9)))


def test_gaps_that_no_receipt_names_are_declared_again_after_a_pause() -> None:
    subject = fresh()
    subject.lost()
    moments, now = [], 0.0
    for _ in range(4):
        while subject.next_fetch(now) is None:
            now = max(subject.next_wake(now), now + 0.01)
        send(subject, [], now, gaps=[gap(1, 2)])
        subject.receipt(Receipt(schema=1, sender="A", payload=DIGEST))
        moments.append(now)
    assert [round(later - sooner) for sooner, later in pairwise(moments)] == [60, 60, 60]


def test_a_request_to_send_again_ends_what_is_in_flight() -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1, 2), 0)
    subject.forget(1)
    assert subject.in_flight == 0
    # A receipt of the ledger before its restoration is none of the one that asks.
    assert subject.receipt(named(ReceiptStatus.COMMITTED, 1, 2)) == ReceiptOutcome()
    assert subject.next_fetch(40) == Fetch(BatchKind.BACKLOG, gaps=True)


def test_rejected_rows_are_released_at_the_start_and_once_a_day() -> None:
    subject = Delivery(PACE, random.Random(1), decode, newest=0, now=0)
    begun = [now for now in (0, 1, 86_399, 86_400, 86_401) if subject.begin_day(now)]
    assert begun == [0, 86_400]


def test_an_envelope_carries_the_journals_own_bytes() -> None:
    records = [messages.encode(build(E, seq)) for seq in (2, 1)]
    fetched = [Row(seq, E, seq, raw) for seq, raw in zip((2, 1), records, strict=True)]
    payload = compose(SENDER, CLOCK, (EpochMark(epoch=E, high_water=2),), fetched)
    decoded = messages.decode(payload, Envelope, "A")
    assert not isinstance(decoded, Fault)
    assert [bytes(raw) for raw in decoded.records] == records


class Ledger:
    """Model of the collector: it commits before it answers, and knows its records."""

    def __init__(self) -> None:
        self.held: set[tuple[str, int]] = set()

    def take(self, payload: bytes) -> Receipt:
        decoded = messages.decode(payload, Envelope, "A")
        assert not isinstance(decoded, Fault)
        found = [messages.decode_measurement(raw) for raw in decoded.records]
        keys = [(one.epoch, one.seq) for one in found if not isinstance(one, Fault)]
        self.held.update(keys)
        committed = ReceiptStatus.COMMITTED
        lines = tuple(ReceiptLine(epoch=epoch, first=seq, last=seq, status=committed) for epoch, seq in keys)
        return Receipt(schema=1, sender="A", payload=messages.digest(payload), lines=lines)


class Exchange:
    """Journal, delivery and ledger, with a network between them that loses, repeats and reorders."""

    def __init__(self, journal: Journal, chance: random.Random, loss: float) -> None:
        self.journal = journal
        self.ledger = Ledger()
        self.chance = chance
        self.loss = loss
        self.subject = Delivery(PACE, chance, decode, newest=journal.newest_position(), now=0)
        self.subject.begin_day(0)
        self.on_their_way: list[Receipt] = []

    def send(self, now: float) -> None:
        while (fetch := self.subject.next_fetch(now)) is not None:
            chosen = self.subject.choose(fetch, read(self.journal, fetch)[0], [], now)
            if chosen:
                self._publish(fetch, chosen, now)

    def _publish(self, fetch: Fetch, chosen: tuple[Row, ...], now: float) -> None:
        marks = self.journal.marks([row.epoch for row in chosen])
        payload = compose(SENDER, CLOCK, marks, chosen)
        self.subject.sent(messages.digest(payload), fetch, chosen, [], now)
        copies = self.chance.choice((0, 1, 1, 2)) if self.loss else 1
        for _ in range(copies):
            receipt = self.ledger.take(payload)
            if self.chance.random() >= self.loss:
                self.on_their_way.append(receipt)
        if self.chance.random() < self.loss:
            self.subject.not_published(messages.digest(payload))

    def receive(self) -> None:
        self.chance.shuffle(self.on_their_way)
        while self.on_their_way and self.chance.random() < 0.7:
            self.journal.apply(self.subject.receipt(self.on_their_way.pop()).changes, CLOCK)
        held = {row.seq for row in self.journal.waiting(1000)}
        committed = set(range(1, self.journal.marks([])[0].high_water + 1)) - held
        assert committed <= {seq for _, seq in self.ledger.held}, "committed before it was in the ledger"


@settings(max_examples=12)
@example(seed=61, loss=0.3, bursts=[1, 101])
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.3, 0.7]),
    bursts=st.lists(st.integers(0, 130), max_size=6),
)
def test_whatever_the_network_does_ledger_and_journal_come_to_agree(
    seed: int, loss: float, bursts: list[int]
) -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        Journal(Path(directory) / "j.db", 10**8, CLOCK) as journal,
    ):
        connection(journal).execute("PRAGMA synchronous = OFF")  # nobody cuts the power here
        exchange = Exchange(journal, random.Random(seed), loss)
        now = 0.0
        for burst in bursts:
            for _ in range(burst):
                journal.commit(build, CLOCK)
                exchange.subject.committed()
            now += exchange.chance.uniform(0, 90)
            exchange.send(now)
            exchange.receive()
        exchange.loss = 0.0
        for _ in range(150):
            now = max(exchange.subject.next_wake(now), now + 0.01)
            exchange.send(now)
            exchange.receive()
        counted = journal.counts()
        assert (counted.waiting, counted.committed) == (0, sum(bursts))
        assert {seq for _, seq in exchange.ledger.held} == set(range(1, counted.committed + 1))


def test_batches_without_a_receipt_cost_little_memory() -> None:
    subject = fresh()
    tracemalloc.start()
    try:
        for number in range(3 * LATE_BATCHES):
            made = [Row(seq, E, seq, bytes(1000)) for seq in range(100 * number, 100 * number + BATCH_ROWS)]
            gaps = [gap(n, n) for n in range(1, 65)]
            subject.sent(f"{number:064x}", BACKLOG, tuple(made), gaps, 0.0)
            subject.not_published(f"{number:064x}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_500_000
