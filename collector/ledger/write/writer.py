"""The one writer of the ledger: its handle on the file, and its thread, which commits groups of messages."""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from collector.ledger.clock.arrivals import ArrivalRedating, held_clock, keep_clock
from collector.ledger.clock.boots import Boots
from collector.ledger.clock.redating import RedatedSite, Redating
from collector.ledger.keys import RowKeys
from collector.ledger.place import LedgerLock, mark
from collector.ledger.schema import tables as schema
from collector.ledger.store import connect, explain, ledger_fails, prepare
from collector.ledger.transaction import LedgerTransaction
from collector.ledger.write.commit_result import CommitResult, combined
from collector.ledger.write.peer_comparisons import give_up
from collector.ledger.write.transaction import Group
from collector.model import clock_steps
from collector.model.clock_steps import ArrivalClock
from collector.model.message import Batch, Judged, PeerBatch, UnreadableMessage
from collector.model.peer_comparison import ComparedTest
from host.clock import Clock
from net.complaint import Complaint
from wire.messages.envelope import Fault, Reason
from wire.records import ClockReading

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
PRUNE_SECONDS = 60.0
PAUSE_SECONDS = 1.0
AT_ONCE_SECONDS = 5.0
PRUNE_ROWS = 2000
KEEP_CLOCK_US = 60_000_000  # between two writes of an unchanged clock

# Waits so many seconds for a group of messages; an empty one without any, None when no more will come.
Take = Callable[[float], Sequence[Judged] | None]
OnCommitted = Callable[[CommitResult, float], None]


def no_fault() -> None:
    """Do nothing: ``before_commit`` outside fault tests."""


class Ledger:
    """The one writer's handle on the ledger. Raises LedgerError on construction if the file is unusable.

    ``before_commit`` is called when the rows of a group are written and not committed. A crash there must
    lose nothing and invent nothing.
    """

    def __init__(
        self,
        path: Path,
        *,
        reject_rows: int = 10_000,
        before_commit: Callable[[], None] = no_fault,
    ) -> None:
        self._lock = LedgerLock(path)
        self._engine = connect(path, writing=True)
        self._keys = RowKeys()
        self._boots = Boots()
        self._redating = Redating(self._keys, self._boots)
        self._arrivals = ArrivalRedating(self._keys, self._boots)
        self._clock: ArrivalClock | None = None
        self._kept_us = 0
        self._reject_rows = reject_rows
        self._before_commit = before_commit
        try:
            prepare(self._engine, path)
            self._lock.hold()
            mark(path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._engine.dispose()
        self._lock.release()

    def lost(self) -> str | None:
        """Reason why the open file is no longer the one at its path, or None."""
        return self._lock.lost()

    def commit(self, group: Sequence[Judged]) -> CommitResult:
        """Commit a group durably, all or nothing.

        Raises sqlalchemy.exc.SQLAlchemyError, with nothing committed.
        """
        group = [self._redated(message) for message in group]
        with self._writing() as transaction:
            work = Group(transaction, self._keys, self._reject_rows, self._boots)
            result = work.process(group)
            transaction.finish()
            self._before_commit()
        return result

    @contextmanager
    def _writing(self) -> Iterator[LedgerTransaction]:
        """Transaction that writes; after a failure, what it may have made is forgotten."""
        try:
            with self._engine.begin() as connection:
                transaction = LedgerTransaction(connection)
                yield transaction
                transaction.finish()
        except BaseException:
            self._keys.forget()
            self._boots.forget()
            self._redating.forget()
            self._arrivals.forget()
            raise

    def prune_payloads(self, before_us: int) -> int:
        """Drop some of the raw payloads received before ``before_us``; returns their number."""
        old = select(schema.payloads.c.batch_key).where(schema.payloads.c.received_us < before_us)
        with self._writing() as transaction:
            return transaction.remove(schema.payloads, schema.payloads.c.batch_key.in_(old.limit(PRUNE_ROWS)))

    def give_up_comparisons(self, before_us: int) -> list[ComparedTest]:
        """Close some tests of which one record alone has been known since before ``before_us``."""
        with self._writing() as transaction:
            return give_up(transaction, before_us)

    def redate(self, now_us: int | None = None) -> tuple[list[RedatedSite], bool]:
        """Re-date some measurements of boots with better anchors; returns true if there are more.

        Sites are returned as views show them at ``now_us``.
        """
        with self._writing() as transaction:
            redated, more = self._arrivals.portion(transaction, now_us)
            if more:
                return redated, more
            found, more = self._redating.portion(transaction, now_us)
            return redated + found, more

    @property
    def clock(self) -> ArrivalClock | None:
        """The collector's own clock as of the last look."""
        return self._clock

    def look(self, reading: ClockReading) -> int:
        """Look at the collector's own clocks; returns the shift of its time, 0 as long as one era dates.

        Raises sqlalchemy.exc.SQLAlchemyError if a change cannot be kept, with the clock as it was.
        """
        before = self._clock
        if before is not None:
            clock = clock_steps.look(before, reading)
            is_same = (clock.present, clock.dating) == (before.present, before.dating)
            if is_same and reading.boot_us - self._kept_us < KEEP_CLOCK_US:
                self._clock = clock
                return 0
        with self._writing() as transaction:
            if before is None:
                before = held_clock(transaction.connection)
                clock = clock_steps.begin(reading, before)
            shift_us = keep_clock(transaction, self._keys, clock, before)
        if shift_us:
            self._boots.forget()
        self._clock, self._kept_us = clock, reading.boot_us
        return shift_us

    def _redated(self, message: Judged) -> Judged:
        """Message with its arrival by the present offset, if another one dated it in the queue."""
        arrival = message.arrival
        if self._clock is None or arrival.boot_us is None:
            return message
        received_us = arrival.boot_us + self._clock.offset_us
        if abs(received_us - arrival.received_us) < clock_steps.STEP_US:
            return message
        return replace(message, arrival=replace(arrival, received_us=received_us))


class Writer(threading.Thread):
    """Runs until ``take`` gives None.

    ``on_committed`` is called in this thread after each commit, with the seconds it took. ``problem`` is the
    reason why nothing can be committed, or None. ``on_uncommitted`` gets the number of messages dropped for
    that reason. They get no receipt, so their agents send them again. ``read_clock`` reads the clocks of the
    machine.
    """

    def __init__(
        self,
        ledger: Ledger,
        take: Take,
        on_committed: OnCommitted,
        *,
        on_uncommitted: Callable[[int], None],
        keep_payloads_s: float,
        comparison_grace_s: float,
        read_clock: Callable[[], ClockReading] | None = None,
    ) -> None:
        super().__init__(name="ledger-writer", daemon=True)
        self.problem: str | None = None
        self._ledger = ledger
        self._take = take
        self._on_committed = on_committed
        self._on_uncommitted = on_uncommitted
        self._keep_payloads_s = keep_payloads_s
        self._comparison_grace_s = comparison_grace_s
        self._read_clock = read_clock or Clock().read
        self._next_prune = 0.0
        self._unpruned = Complaint()
        self._was_lost = False

    def run(self) -> None:
        """The thread's loop."""
        while (group := self._take(IDLE_SECONDS)) is not None:
            self.look()
            if group:
                self._commit_group(group)
            elif (lost := self._ledger.lost()) or self._was_lost:
                # Also while nothing arrives, so that the pages say it within a second.
                self._say(lost)
                self._was_lost = lost is not None
            if not self._was_lost:
                self._prune()

    def look(self) -> None:
        """Look for steps of the collector's own clock."""
        try:
            shift_us = self._ledger.look(self._read_clock())
        except SQLAlchemyError:
            return  # the next commit says what is wrong with the ledger; the next look sees the step again
        if shift_us:
            log.warning(
                "the wall clock was wrong by %.1f s: what arrived since this machine's start is dated again",
                -shift_us / 1e6,
            )
            self._on_committed(CommitResult(shift_us=shift_us), 0.0)
            self._next_prune = 0.0
            self._redate_at_once()

    def now_us(self) -> int:
        """Time by the offset that dates arrivals, Unix microseconds."""
        return self.moment()[0]

    def moment(self) -> tuple[int, int]:
        """The same time, and CLOCK_BOOTTIME."""
        reading, clock = self._read_clock(), self._ledger.clock
        now_us = reading.wall_us if clock is None else max(0, reading.boot_us + clock.offset_us)
        return now_us, reading.boot_us

    def _commit_group(self, group: Sequence[Judged]) -> None:
        began = time.monotonic()
        result, problem = self._commit(group)
        self._say(problem)
        if result.messages:
            self._on_committed(result, time.monotonic() - began)
        if problem is not None:
            self._on_uncommitted(len(group) - len(result.messages))
            # Without a pause the next groups would be dropped at once; in the queue they can wait.
            time.sleep(PAUSE_SECONDS)

    def _commit(self, group: Sequence[Judged]) -> tuple[CommitResult, str | None]:
        """Commit together; if one message is at fault, one by one, so that it alone is rejected.

        Returns the result of what was committed, and the reason why the ledger accepts no more.
        """
        result, problem = self._committed(group) if not self._ledger.lost() else (CommitResult(), None)
        lost = self._ledger.lost()
        self._was_lost = lost is not None
        # Rows in a file that nobody finds are no reason for a receipt: agents send them again.
        return (CommitResult(), lost) if lost else (result, problem)

    def _committed(self, group: Sequence[Judged]) -> tuple[CommitResult, str | None]:
        try:
            return self._ledger.commit(group), None
        except Exception as error:
            if ledger_fails(error):
                return CommitResult(), explain(error)
            # One bad message must not keep the others out.
            log.exception("a group of %d messages was not committed; trying them one by one", len(group))
        results: list[CommitResult] = []
        for message in group:
            try:
                results.append(self._commit_alone(message))
            except DatabaseError as error:
                if not ledger_fails(error):
                    raise
                return combined(results), explain(error)
        return combined(results), None

    def _commit_alone(self, message: Judged) -> CommitResult:
        try:
            return self._ledger.commit([message])
        except Exception as error:
            if ledger_fails(error):
                raise
            detail = f"the collector cannot store it ({type(error).__name__}): its fault, not the site's"
            fault = Fault(Reason.STORAGE, detail)
            return self._ledger.commit([_refused(message, fault)])

    def _say(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.error("the ledger accepts nothing: %s", problem)
        if problem is None and self.problem is not None:
            log.info("the ledger works again")
        self.problem = problem

    def _prune(self) -> None:
        now = time.monotonic()
        if now < self._next_prune:
            return
        problem = ""
        try:
            left = self._ledger.prune_payloads(self.now_us() - int(self._keep_payloads_s * 1e6))
            left += self._give_up_comparisons(now)
            left += self._redate()
        except SQLAlchemyError as error:
            left, problem = 0, explain(error)
        if self._unpruned.is_news(problem):
            log.warning("the ledger cannot drop old payloads, close peer comparisons or re-date: %s", problem)
        self._next_prune = now if left else now + PRUNE_SECONDS

    def _redate(self) -> bool:
        """Re-date measurements of boots with better anchors; returns true if there are more."""
        began = time.monotonic()
        redated, more = self._ledger.redate(self.now_us())
        if redated:
            self._on_committed(CommitResult(redated=tuple(redated)), time.monotonic() - began)
        return more

    def _redate_at_once(self) -> None:
        """Re-date for some seconds before anything else is committed, so that anchors keep their order."""
        until = time.monotonic() + AT_ONCE_SECONDS
        with suppress(SQLAlchemyError):  # the work goes on when the ledger works again
            while self._redate() and time.monotonic() < until:
                pass

    def _give_up_comparisons(self, now: float) -> int:
        """Report load tests whose second record did not arrive in time; returns their number."""
        before_us = self.now_us() - int(self._comparison_grace_s * 1e6)
        compared = self._ledger.give_up_comparisons(before_us)
        if compared:
            self._on_committed(CommitResult(compared=tuple(compared)), time.monotonic() - now)
        return len(compared)


def _refused(message: Judged, fault: Fault) -> UnreadableMessage:
    site = None if isinstance(message, PeerBatch) else message.site
    peer = None if isinstance(message, Batch) else message.peer
    return UnreadableMessage(message.arrival, site, message.digest, fault, peer)
