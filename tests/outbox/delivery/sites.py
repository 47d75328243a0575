"""A sender by value: its journal is a dictionary, its collector answers as a test says."""

import random
from collections import deque
from collections.abc import Callable, Collection

from outbox.delivery.delivery import BatchKind, Delivery, Fetch, Rejection
from outbox.delivery.pace import Pace
from outbox.rows import Row, State
from wire.messages.envelope import (
    EpochRange,
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
MALFORMED = Fault(Reason.MALFORMED, "not JSON")

RejectsWhole = Callable[[Collection[int]], Reason | None]
"""Why the collector rejects a batch of these sequence numbers whole, None if it does not."""


def decode(record: bytes) -> object:
    """As a sender's own decoder: what begins with ! is no record."""
    return MALFORMED if record.startswith(b"!") else record


def rows(*seqs: int, epoch: str = E, size: int = 100) -> list[Row]:
    return [Row(seq, epoch, seq, b"x" * size) for seq in sorted(seqs, reverse=True)]


def gap(first: int, last: int) -> Gap:
    return Gap(epoch=E, first=first, last=last, reason=GapReason.DROPPED, at_us=0)


def ranges(*named: tuple[int, int]) -> tuple[EpochRange, ...]:
    return tuple(EpochRange(epoch=E, first=first, last=last) for first, last in named)


def whole(reason: Reason, digest: str = DIGEST) -> Receipt:
    return Receipt(schema=1, sender="A", payload=digest, reason=reason)


def named(
    status: ReceiptStatus, first: int, last: int, reason: Reason | None = None, digest: str = DIGEST
) -> Receipt:
    line = ReceiptLine(epoch=E, first=first, last=last, status=status, reason=reason)
    return Receipt(schema=1, sender="A", payload=digest, lines=(line,))


def poisoned(*seqs: int) -> RejectsWhole:
    return lambda batch: Reason.MALFORMED if set(seqs) & set(batch) else None


def everything(reason: Reason) -> RejectsWhole:
    return lambda _: reason


NOTHING = poisoned()


class Site:
    """``sent``: when, and which rows. ``broken``: rows that no decoder reads. ``late_s``: of each receipt."""

    def __init__(self, rejects: RejectsWhole = NOTHING) -> None:
        self.rejects = rejects
        self.by_line: Collection[int] = ()
        self.broken: Collection[int] = ()
        self.states: dict[int, State] = {}
        self.now = 0.0
        self.sent: list[tuple[float, tuple[int, ...]]] = []
        self.alone: list[float] = []
        self.rejections: list[Rejection] = []
        self.answers = True
        self.late_s = 0.0
        self._coming: deque[tuple[float, Receipt]] = deque()
        self.start()

    def start(self) -> "Site":
        newest = max(self.states, default=0)
        self.delivery = Delivery(PACE, random.Random(1), decode, newest=newest, now=self.now)
        self._coming.clear()
        return self

    def measure(self, count: int) -> "Site":
        for _ in range(count):
            self.states[len(self.states) + 1] = State.WAITING
        self.delivery.committed()
        return self

    def until(self, now: float) -> "Site":
        while self.now < now:
            self._receive()
            if self.delivery.begin_day(self.now):
                self._release()
            while (fetch := self.delivery.next_fetch(self.now)) is not None:
                self._send(fetch)
                self._receive()
            wake = self.delivery.next_wake(self.now)
            coming = min((at for at, _ in self._coming), default=wake)
            self.now = min(now, max(self.now + 0.01, min(wake, coming)))
        return self

    def are(self, *states: State) -> set[int]:
        return {seq for seq, state in self.states.items() if state in states}

    def _release(self) -> None:
        for seq in self.are(State.REJECTED):
            self.states[seq] = State.WAITING
        self.delivery.released()

    def _send(self, fetch: Fetch) -> None:
        chosen = self.delivery.choose(fetch, self._read(fetch), [], self.now)
        if not chosen:
            return
        digest = f"{len(self.sent):064x}"
        seqs = tuple(row.seq for row in chosen)
        self.delivery.sent(digest, fetch, chosen, [], self.now)
        self.sent.append((self.now, seqs))
        if fetch.kind is BatchKind.APART and len(seqs) == 1:
            self.alone.append(self.now)
        if self.answers:
            self._coming.append((self.now + self.late_s, self._receipt(digest, seqs)))

    def _read(self, fetch: Fetch) -> list[Row]:
        wanted = sorted(self.are(State.WAITING), reverse=True)
        if fetch.kind is BatchKind.APART:
            wanted = [seq for seq in wanted if seq in fetch.positions]
        else:
            wanted = [seq for seq in wanted if seq > fetch.after and seq not in fetch.skip][: fetch.limit]
        return [Row(seq, E, seq, b"!" if seq in self.broken else b"x") for seq in wanted]

    def _receipt(self, digest: str, seqs: Collection[int]) -> Receipt:
        reason = Reason.MALFORMED if set(seqs) & set(self.broken) else self.rejects(seqs)
        if reason is not None:
            return whole(reason, digest)
        lines = []
        for seq in seqs:
            status = ReceiptStatus.REJECTED if seq in self.by_line else ReceiptStatus.COMMITTED
            lines.append(ReceiptLine(epoch=E, first=seq, last=seq, status=status))
        return Receipt(schema=1, sender="A", payload=digest, lines=tuple(lines))

    def _receive(self) -> None:
        while self._coming and self._coming[0][0] <= self.now:
            outcome = self.delivery.receipt(self._coming.popleft()[1])
            self.rejections += outcome.rejections
            for change in outcome.changes:
                for seq in range(change.first, change.last + 1):
                    self.states[seq] = change.state
