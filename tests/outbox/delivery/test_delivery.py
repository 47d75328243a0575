import random
import tempfile
import tracemalloc
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from outbox.journal.journal import Change, Journal, Row, State
from agent.uplink import window
from agent.uplink.uplink import fetch
from agent.uplink.window import BATCH_BYTES, BATCH_EPOCHS, BATCH_ROWS, Pace, Want, Window, envelope
from tests.outbox.journalled import CLOCK, build, connection
from wire.messages import envelope as messages
from wire.messages.envelope import (
    Envelope,
    EpochMark,
    Fault,
    Gap,
    GapReason,
    Reason,
    Receipt,
    ReceiptLine,
    ReceiptStatus,
)

E = "00112233445566ff"
PACE = Pace(interval_s=60, backlog_interval_s=30, receipt_timeout_s=60)
DIGEST = "d" * 64


def rows(*seqs: int, epoch: str = E, size: int = 100) -> list[Row]:
    return [Row(seq, epoch, seq, b"x" * size) for seq in sorted(seqs, reverse=True)]


def fresh(*, newest: int = 0, now: float = 0.0) -> Window:
    """Of a journal without a gap and with nothing in quarantine."""
    subject = Window(PACE, random.Random(1), newest=newest, now=now)
    assert subject.want(now) == Want(live=False, after=0, limit=0, gaps=True)
    subject.choose(Want(live=False, after=0, limit=0, gaps=True), [], now)
    subject._trial.portion(1)
    subject._trial.chosen(())
    return subject


def send(subject: Window, fetched: list[Row], now: float, digest: str = DIGEST) -> tuple[Row, ...]:
    want = subject.want(now)
    assert want is not None
    chosen = subject.choose(want, fetched, now)
    subject.sent(digest, chosen, now)
    return chosen


def lined(status: ReceiptStatus, first: int, last: int, reason: Reason | None = None) -> Receipt:
    line = ReceiptLine(epoch=E, first=first, last=last, status=status, reason=reason)
    return Receipt(schema=1, site="A", payload=DIGEST, lines=(line,))


def test_the_first_measurement_leaves_at_once_and_the_next_a_minute_later() -> None:
    subject = fresh()
    assert subject.want(0) is None
    subject.committed()
    assert subject.want(0) == Want(live=True, after=0, limit=BATCH_ROWS + 1)
    assert [row.seq for row in send(subject, rows(1), 0)] == [1]
    subject.committed()
    assert subject.want(59.9) is None
    assert subject.next_wake(10) == 60
    assert subject.want(60) is not None


def test_live_batches_leave_the_backlog_behind() -> None:
    subject = fresh(newest=500)
    subject.committed()
    want = subject.want(0)
    assert want is not None
    assert (want.live, want.after) == (True, 500)


def test_the_backlog_keeps_one_place_of_the_window_free() -> None:
    subject = Window(Pace(60, 1, 60), random.Random(1), newest=1000, now=0)
    now = 1.0
    for index in range(window.WINDOW - 1):
        send(subject, rows(*range(1000 - 200 * index, 900 - 200 * index, -1)), now, f"{index}" * 64)
        now += 2
    assert subject.in_flight() == window.WINDOW - 1
    assert subject.want(now) is None
    subject.committed()
    want = subject.want(now)
    assert want is not None
    assert want.live


def test_a_batch_is_bounded_in_rows_bytes_and_epochs() -> None:
    subject = fresh(newest=1)
    want = Want(live=False, after=0, limit=1000)
    assert len(subject.choose(want, rows(*range(1, 300)), 0)) == BATCH_ROWS
    big = subject.choose(want, rows(*range(1, 90), size=10_000), 0)
    assert sum(len(row.record) for row in big) <= BATCH_BYTES
    assert len(subject.choose(want, rows(1, 2, size=10**6), 0)) == 1
    many = [Row(n, f"{n:016x}", 1, b"x") for n in range(90, 0, -1)]
    assert len(subject.choose(want, many, 0)) == BATCH_EPOCHS


def test_what_is_in_flight_is_not_sent_twice_until_its_time_is_up() -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1, 2), 0)
    want = Want(live=False, after=0, limit=1000)
    assert [row.seq for row in subject.choose(want, rows(1, 2, 3), 1)] == [3]
    assert subject.want(60) is not None
    assert [row.seq for row in subject.choose(want, rows(1, 2, 3), 60)] == [3, 2, 1]


@pytest.mark.parametrize(
    ("receipt", "changes"),
    [
        (lined(ReceiptStatus.COMMITTED, 1, 3), [Change(E, 1, 3, State.COMMITTED)]),
        (lined(ReceiptStatus.DUPLICATE, 2, 2), [Change(E, 2, 2, State.COMMITTED)]),
        (lined(ReceiptStatus.CONFLICT, 1, 1), [Change(E, 1, 1, State.CONFLICT)]),
        (lined(ReceiptStatus.REJECTED, 3, 3, Reason.INVALID), [Change(E, 3, 3, State.REJECTED)]),
        (lined(ReceiptStatus.REJECTED, 3, 3, Reason.STORAGE), []),
        (lined(ReceiptStatus.COMMITTED, 1, 2**53), [Change(E, 1, 3, State.COMMITTED)]),
        (lined(ReceiptStatus.COMMITTED, 4, 9), []),
        (
            Receipt(schema=1, site="A", payload=DIGEST, reason=Reason.MALFORMED),
            [Change(E, 1, 3, State.REJECTED)],
        ),
        (Receipt(schema=1, site="A", payload=DIGEST, reason=Reason.STORAGE), []),
        (Receipt(schema=1, site="A", payload=DIGEST), []),
        (Receipt(schema=1, site="A", payload="0" * 64, reason=Reason.MALFORMED), []),
    ],
)
def test_a_receipt_changes_only_rows_of_its_own_batch(receipt: Receipt, changes: list[Change]) -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1, 2, 3), 0)
    heard = subject.receipt(receipt)
    assert (heard.changes, heard.told) == (changes, [])


def test_a_receipt_that_comes_late_or_after_a_failed_publication_still_counts() -> None:
    subject = fresh()
    subject.committed()
    send(subject, rows(1), 0)
    subject.not_published(DIGEST)
    assert subject.in_flight() == 0
    assert subject.receipt(lined(ReceiptStatus.COMMITTED, 1, 1)).changes == [Change(E, 1, 1, State.COMMITTED)]
    assert subject.receipt(lined(ReceiptStatus.COMMITTED, 1, 1)).changes == []


def test_silence_slows_the_backlog_and_a_receipt_brings_it_back() -> None:
    subject = fresh(newest=9)
    pauses = []
    now = 0.0
    for number in range(6):
        while (want := subject.want(now)) is None:
            now = max(subject.next_wake(now), now + 0.01)
        subject.choose(want, rows(number + 1), now)
        subject.sent(f"{number:064}", tuple(rows(number + 1)), now)
        began = now
        while subject.want(now) is None:
            now = max(subject.next_wake(now), now + 0.01)
        pauses.append(now - began)
    assert pauses[0] < 40
    assert pauses[-1] > 100


def test_an_envelope_carries_the_journals_own_bytes() -> None:
    records = [messages.encode(build(E, seq)) for seq in (2, 1)]
    fetched = [Row(seq, E, seq, raw) for seq, raw in zip((2, 1), records, strict=True)]
    payload = envelope("A", "0.1.0", CLOCK, (EpochMark(epoch=E, high_water=2),), fetched)
    decoded = messages.decode(payload, Envelope, "A")
    assert not isinstance(decoded, Fault)
    assert [bytes(raw) for raw in decoded.measurements] == records


class Ledger:
    """What the collector promises: commits before it answers, and knows what it has."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], bytes] = {}

    def take(self, payload: bytes) -> Receipt:
        decoded = messages.decode(payload, Envelope, "A")
        assert not isinstance(decoded, Fault)
        return Receipt(
            schema=1,
            site="A",
            payload=messages.digest(payload),
            lines=tuple(self._line(bytes(raw)) for raw in decoded.measurements),
        )

    def _line(self, raw: bytes) -> ReceiptLine:
        record = messages.decode_measurement(raw)
        assert not isinstance(record, Fault)
        key = (record.epoch, record.seq)
        status = ReceiptStatus.DUPLICATE if key in self.held else ReceiptStatus.COMMITTED
        self.held.setdefault(key, raw)
        return ReceiptLine(epoch=record.epoch, first=record.seq, last=record.seq, status=status)


class Exchange:
    """Journal, window and ledger, with a network between them that loses, repeats and reorders."""

    def __init__(self, journal: Journal, chance: random.Random, loss: float) -> None:
        self.journal = journal
        self.ledger = Ledger()
        self.chance = chance
        self.loss = loss
        self.subject = Window(PACE, chance, newest=journal.newest_position(), now=0)
        self.on_their_way: list[Receipt] = []

    def send(self, now: float) -> None:
        while (want := self.subject.want(now)) is not None:
            fetched, _ = fetch(self.journal, want)
            chosen = self.subject.choose(want, fetched, now)
            if chosen:
                self._publish(chosen, now)

    def _publish(self, chosen: tuple[Row, ...], now: float) -> None:
        marks = self.journal.marks([row.epoch for row in chosen])
        payload = envelope("A", "0.1.0", CLOCK, marks, chosen)
        self.subject.sent(messages.digest(payload), chosen, now)
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
        marked = set(range(1, self.journal.marks([])[0].high_water + 1)) - held
        assert marked <= {seq for _, seq in self.ledger.held}, "marked before it was in the ledger"


@settings(max_examples=25, deadline=None)
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
                journal.commit(partial(build), CLOCK)
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
        assert (counted.unsent, counted.marked) == (0, sum(bursts))
        assert {seq for _, seq in exchange.ledger.held} == set(range(1, counted.marked + 1))


def test_batches_without_a_receipt_cost_no_memory_worth_speaking_of() -> None:
    subject = fresh()
    tracemalloc.start()
    try:
        for number in range(3 * window.REMEMBERED):
            made = [Row(seq, E, seq, bytes(1000)) for seq in range(100 * number, 100 * number + BATCH_ROWS)]
            gaps = [Gap(epoch=E, first=n, last=n, reason=GapReason.DROPPED, at_us=0) for n in range(1, 65)]
            subject.sent(f"{number:064x}", tuple(made), 0.0, gaps)
            subject.not_published(f"{number:064x}")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000
