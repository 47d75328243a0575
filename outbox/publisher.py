"""The shell around ``outbox.delivery``: moves rows from the journal to MQTT, and receipts back."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct

from net.complaint import Complaint
from net.mqtt import Publication, Session
from outbox.delivery.delivery import BatchKind, Decode, Delivery, Fetch, ReceiptOutcome
from outbox.delivery.pace import Pace
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from outbox.receipt_watch import ReceiptWatch
from outbox.rows import Row
from wire.messages import envelope as messages
from wire.messages.envelope import MAX_GAPS, SCHEMA, Envelope, EpochMark, Fault, Gap, Receipt
from wire.records import ClockReading

log = logging.getLogger(__name__)

LONGEST_NAP_S = 60.0
RECONNECTED_NAP_S = 5.0
PRUNE_EVERY_S = 600.0
DISK_RETRY_S = 10.0
MOST_REJECTIONS_LOGGED = 5


class Sender(Struct, frozen=True):
    """Identity of a sender: its name, its program's version, and the topic of its records."""

    name: str
    program: str
    topic: str


class Publisher:
    """Sends what the journal holds until the collector has it. ``receipts`` watches what comes back."""

    def __init__(
        self,
        sender: Sender,
        session: Session,
        pace: Pace,
        journal: JournalThread,
        decode: Decode,
        clock: Callable[[], ClockReading],
    ) -> None:
        self.receipts = ReceiptWatch()
        self._sender = sender
        self._session = session
        self._pace = pace
        self._journal = journal
        self._decode = decode
        self._clock = clock
        self._delivery: Delivery | None = None
        self._wake = asyncio.Event()
        self._pruned: float | None = None
        self._generation = 0
        self._refusal = Complaint()

    def committed(self) -> None:
        """There is a new record in the journal."""
        if self._delivery:
            self._delivery.committed()
            self._wake.set()

    def connected(self) -> None:
        """There is a new session with the broker."""
        self.receipts.forget_sent()
        self._wake.set()

    def forget_receipts(self) -> None:
        """The collector lost records: receipts for what was sent until now count no more."""
        if self._delivery:
            self._delivery.forget(self._now())
            self._wake.set()

    async def run(self) -> None:
        """Send until cancelled. The journal is open."""
        newest = await self._journal.do(Journal.newest_position)
        self._generation = self._journal.generation
        delivery = Delivery(self._pace, random.Random(), self._decode, newest=newest, now=self._now())
        self._delivery = delivery
        while True:
            await self._maintain(delivery)
            while self._session.connected and await self._send_one(delivery):
                pass
            if self._journal.generation == self._generation:
                await self._nap(delivery)

    async def _nap(self, delivery: Delivery) -> None:
        longest_s = DISK_RETRY_S if self._journal.trouble else LONGEST_NAP_S
        # Not simply until the next batch: disk, day and pruning have their own times.
        nap_s = min(longest_s, delivery.next_wake(self._now()) - self._now())
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            # A pause of nothing would spin where a moment is due by a rounding error.
            async with asyncio.timeout(max(nap_s, 0.05) if self._session.connected else RECONNECTED_NAP_S):
                await self._wake.wait()

    async def _maintain(self, delivery: Delivery) -> None:
        """Let the journal do what time asks of it, and delivery know what can be read since."""
        now = self._now()
        if self._journal.trouble:
            await self._journal.do(lambda journal: journal.recover(self._clock()))
        if self._generation != self._journal.generation:  # trouble may have come and gone unseen
            self._generation = self._journal.generation
            delivery.released()
            delivery.lost()
        if delivery.begin_day(now) and (released := await self._journal.do(Journal.release)):
            log.info("%d rejected records are sent again", released)
            delivery.released()
        if self._pruned is None or now - self._pruned > PRUNE_EVERY_S:
            self._pruned = now
            await self._journal.do(lambda journal: journal.prune(self._clock()))
            delivery.lost()

    async def _send_one(self, delivery: Delivery) -> bool:
        """Send one batch if one is due; returns whether another may be."""
        fetch = delivery.next_fetch(self._now())
        if fetch is None:
            return False
        fetched, gaps = await self._journal.do(lambda journal: read(journal, fetch))
        rows = delivery.choose(fetch, fetched, gaps, self._now())
        if not rows and not gaps:
            return True
        payload = await self._compose(rows, gaps)
        digest = messages.digest(payload)
        # Before publishing: the receipt may overtake the broker's acknowledgement.
        delivery.sent(digest, fetch, rows, gaps, self._now())
        sent = self._clock()
        if not await self._session.publish(Publication(self._sender.topic, payload)):
            delivery.not_published(digest)
            return False
        self.receipts.taken(sent, self._clock())
        log.debug("%d records and %d gaps in flight as %s", len(rows), len(gaps), digest[:12])
        return True

    async def _compose(self, rows: Sequence[Row], gaps: Sequence[Gap]) -> bytes:
        epochs = list({row.epoch for row in rows} | {gap.epoch for gap in gaps})
        marks, obeyed = await self._journal.do(lambda journal: (journal.marks(epochs), journal.obeyed))
        return compose(self._sender, self._clock(), marks, rows, gaps, obeyed)

    async def take_receipt(self, payload: bytes) -> None:
        """A message came on this sender's topic of receipts."""
        receipt = messages.decode(payload, Receipt, self._sender.name)
        if isinstance(receipt, Fault):
            log.warning("not a receipt: %s: %s", receipt.reason, receipt.detail)
            return
        if self._delivery is None:
            return
        outcome = self._delivery.receipt(receipt)
        self.receipts.received(self._clock())
        self._log(receipt, outcome)
        if outcome.changes or outcome.declared:
            await self._journal.do(
                lambda journal: journal.apply(outcome.changes, self._clock(), outcome.declared)
            )
        self._wake.set()

    def _log(self, receipt: Receipt, outcome: ReceiptOutcome) -> None:
        """A batch rejected whole once for a reason; records rejected, the first of them by name."""
        whole = "" if receipt.reason is None else f"{receipt.reason}: {receipt.detail}"
        if self._refusal.is_news(whole):
            log.error("the collector rejected a batch whole (%s)", whole)
        for one in outcome.rejections[:MOST_REJECTIONS_LOGGED]:
            log.error(
                "record %d of epoch %s is rejected (%s: %s): kept, and sent again tomorrow",
                one.seq,
                one.epoch,
                one.fault.reason,
                one.fault.detail,
            )
        if (more := len(outcome.rejections) - MOST_REJECTIONS_LOGGED) > 0:
            log.error("%d more records of that batch are rejected", more)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def read(journal: Journal, fetch: Fetch) -> tuple[list[Row], list[Gap]]:
    """The rows and gaps that delivery asks for."""
    if fetch.kind is BatchKind.APART:
        rows = journal.waiting_at(fetch.positions)
    else:
        rows = journal.waiting(fetch.limit, after=fetch.after, skip=fetch.skip) if fetch.limit else []
    return rows, journal.gaps(MAX_GAPS) if fetch.gaps else []


def compose(
    sender: Sender,
    sent: ClockReading,
    marks: tuple[EpochMark, ...],
    rows: Sequence[Row],
    gaps: Sequence[Gap] = (),
    obeyed: str | None = None,
) -> bytes:
    """A batch as it goes on the wire."""
    return messages.encode(
        Envelope(
            schema=SCHEMA,
            sender=sender.name,
            program=sender.program,
            sent=sent,
            marks=marks,
            records=tuple(msgspec.Raw(row.record) for row in rows),
            gaps=tuple(gaps),
            obeyed=obeyed,
        )
    )
