"""The agent's durable record: every measurement is committed here before anything else happens to it.

Identity is (epoch, seq). Every opening draws a new random epoch, chained to the one before with its last seq,
so that a restored or power-cut disk cannot use an identity twice. Only a receipt marks a measurement; marked
ones stay a week, so that a collector restored from a backup can be sent them again. While the disk takes
nothing, measurements stand in memory; what is lost for good is a declared gap (docs/evidence.md).
"""

import logging
import secrets
import sqlite3
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Self, TypeVar

from agent.journal import file as journal_file
from agent.journal import memory as journal_memory
from agent.journal import space as journal_space
from agent.journal import store as journal_store
from agent.journal.entries import BEYOND_ALL, Change, Counts, PreviousEnd, Row, State, Worth, runs
from agent.journal.file import DiskTroubleError, JournalError
from agent.journal.reached import ReachedFile
from agent.journal.store import Range, Store
from host.lock import Lock
from wire.messages.envelope import EpochMark, EpochRange, Gap, GapReason
from wire.records import ClockReading, Measurement

__all__ = ["Change", "Counts", "Journal", "PreviousEnd", "Row", "State", "Worth", "runs"]

log = logging.getLogger(__name__)

RETRY_US = 10_000_000
GAP_EPOCHS = 30  # of the marks in an envelope

Result = TypeVar("Result")


class Journal:
    """One open journal. Not for several threads at once; every method may wait for the disk.

    Raises JournalError on opening if the path cannot be used. A disk in trouble is none: measurements are
    kept in memory until it works, and ``trouble`` says why; ``recoveries`` counts how often it has worked
    again. What a damaged file still gives is taken over.
    """

    def __init__(self, path: Path, size: int, now: ClockReading) -> None:
        self.epoch = ""
        self.trouble: str | None = None
        self.recoveries = 0
        self._path = path
        self._size = size
        self._now = now
        self._seq, self._position, self._tried_us = 0, 0, now.boot_us
        self._follows: tuple[str | None, int | None] = (None, None)
        self._lock: Lock | None = None
        self._disk: Store | None = None
        self._memory: Store | None = None
        self._owed = journal_memory.Owed()
        self._obeyed: list[str] = []
        self._previous_end: PreviousEnd | None = None
        self._opened = False
        self._repaired_us: int | None = None
        self._reached = ReachedFile(path)
        self._draw_epoch((None, None))
        try:
            self._open()
        except DiskTroubleError as trouble:
            self._suffer(str(trouble))
        except BaseException:
            self._release()
            raise

    def previous_end(self) -> PreviousEnd | None:
        """How the run of the agent before this one ended; None if nothing is known of one."""
        return self._previous_end

    def commit(self, build: Callable[[str, int], Measurement], now: ClockReading) -> Measurement:
        """Give a measurement its identity and make it durable, or keep it in memory while no disk does."""
        self._now = now
        self.recover(now)
        while (measurement := self._place(build)) is None:
            log.debug("once more, in the epoch that the damage began")
        return measurement

    def unsent(self, limit: int, *, after: int = 0, skip: Container[int] = ()) -> list[Row]:
        """The newest measurements without a receipt, newest first, among positions beyond ``after``.

        Without those of the positions ``skip``, and no more than two batches' bytes. They may be sent from
        now on, so that their content is final.
        """
        held = self._newest(self._memory, State.UNSENT, limit, (after, BEYOND_ALL), skip)
        if self._memory:
            self._memory.leave(held)
        stored = self._newest(self._disk, State.UNSENT, limit, (after, BEYOND_ALL), skip)
        if any(row.worth == Worth.SERIES for row in stored):
            final = self._try(lambda disk: disk.leave(stored), False)
            stored = stored if final else [row for row in stored if row.worth != Worth.SERIES]
        return sorted([*held, *stored], key=lambda row: -row.position)[:limit]

    def quarantined(self, limit: int, *, after: int = 0, before: int = BEYOND_ALL) -> list[Row]:
        """The newest rejected measurements, newest first, of positions between ``after`` and ``before``."""
        stores = (self._memory, self._disk)
        held, stored = (self._newest(one, State.QUARANTINED, limit, (after, before)) for one in stores)
        return sorted([*held, *stored], key=lambda row: -row.position)[:limit]

    def quarantined_at(self, place: float) -> int:
        """The position of the rejected measurement at ``place`` between 0, the oldest, and 1; 0 for none."""
        return self._try(lambda disk: disk.at(State.QUARANTINED, place), 0)

    def apply(self, changes: Iterable[Change], now: ClockReading, told: Iterable[EpochRange] = ()) -> int:
        """Do what receipts say of measurements and gaps; returns how many measurements changed."""
        self._now = now
        marked_us = now.wall_us if now.synchronised else None
        changes, told = list(changes), list(told)
        done = self._memory.apply(changes, told, marked_us) if self._memory else 0
        stored = self._try(lambda disk: disk.apply(changes, told, marked_us), None)
        if stored is None and self.trouble:
            for change in changes:
                self._owed.add(change, marked_us)
        return done + (stored or 0)

    def resend(self, command: str, since_us: int) -> int | None:
        """Let what was marked since then be sent again, and note the command, at once.

        None if that was done before, or if the disk does not take it: then the command is not obeyed.
        """
        if command in self._obeyed:
            return None
        self._reached.unsettle()
        changed = self._try(lambda disk: _unmark(disk, command, since_us), None)
        if changed is None:
            return None
        if self._memory:
            with self._memory.transaction():
                changed += self._memory.unmark(since_us)
        self._owed.clear()  # they were owed to the ledger that has just been lost
        self._obeyed = [*self._obeyed, command][-journal_store.COMMANDS_REMEMBERED :]
        return changed

    @property
    def obeyed(self) -> str | None:
        """The id of the last command carried out."""
        return self._obeyed[-1] if self._obeyed else None

    def marks(self, epochs: Sequence[str]) -> tuple[EpochMark, ...]:
        """How far the present epoch and those named have come, and what each follows."""
        wanted = list(dict.fromkeys(epoch for epoch in epochs if epoch != self.epoch))
        found = {self.epoch: self._mark()}
        for store in (self._memory, self._disk):
            if store is not None and wanted:
                marks: list[EpochMark] = self._look(store, lambda one: one.marks(wanted), [])
                found |= {one.epoch: one for one in marks if not _is_farther(found.get(one.epoch), one)}
        return tuple(found.values())

    def gaps(self, limit: int) -> list[Gap]:
        """Declared gaps that no receipt has named, oldest first, of as many epochs as marks have room for."""
        found: list[Gap] = []
        for store in (self._disk, self._memory):
            if store is not None:
                found += self._look(store, lambda one: one.gaps(limit), [])
        epochs = list(dict.fromkeys(gap.epoch for gap in found))[:GAP_EPOCHS]
        return [gap for gap in found if gap.epoch in epochs][:limit]

    def newest_position(self) -> int:
        """The position of the newest measurement, 0 if there is none."""
        return self._position

    def newest_slots(self) -> dict[str, int]:
        """The wall time of the slot of each schedule id that was measured last.

        What was cancelled because the agent was stopped is not among them: it may be measured again.
        """
        none: dict[str, int] = {}
        found = self._try(Store.newest_slots, none)
        return found | self._memory.newest_slots() if self._memory else found

    def newest_with(self, schedule: str, landmark: bytes) -> bytes | None:
        """The newest record of a schedule id that holds ``landmark``, as it goes on the wire."""
        for store in (self._memory, self._disk):
            found = store and self._look(
                store, lambda one: journal_store.newest_with(one.connection, schedule, landmark), None
            )
            if found:
                return found
        return None

    def prune(self, now: ClockReading) -> None:
        """Forget what a receipt marked a week ago, and keep the file within its size."""
        self._now = now
        told = self._reached.newest
        self._try(lambda disk: journal_space.forget_old(disk, now, told.epoch if told else None), None)
        dropped = self._try(
            lambda disk: journal_space.keep_within(disk, self._size, GapReason.DROPPED, now.wall_us), 0
        )
        if dropped:
            log.error(
                "the journal %s is full of measurements that the collector has not got: %d of the oldest"
                " dropped; look at the broker and the collector, or raise journal.size",
                self._path,
                dropped,
            )

    def recover(self, now: ClockReading) -> None:
        """Write what stands in memory, if the disk works again; tried now and then, however often asked."""
        self._now = now
        if self.trouble is None or 0 <= now.boot_us - self._tried_us < RETRY_US:
            return
        self._tried_us = now.boot_us
        try:
            self._write_memory()
        except (DiskTroubleError, JournalError) as error:
            self._suffer(str(error))
        except sqlite3.Error as error:
            self._fail(error)

    def counts(self) -> Counts:
        """What the journal holds."""
        none: list[Counts] = []
        each = self._try(lambda disk: [journal_store.counts(disk.connection)], none)
        each += [journal_store.counts(self._memory.connection)] if self._memory else []
        return Counts(*(sum(getattr(one, name) for one in each) for name in Counts.__struct_fields__))

    def close(self, now: ClockReading | None = None) -> None:
        """Note that the agent ends in order, fold everything into one file, let another agent have it."""
        self._now = now or self._now
        self._tried_us = self._now.boot_us - RETRY_US
        self.recover(self._now)
        if self.trouble is None:
            self._try(lambda disk: disk.end_epoch(self.epoch, self._seq, self._now), None)
        if self._memory:
            log.error("the disk never took what stood in memory (%s): it is lost", self.trouble)
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw_epoch(self, follows: tuple[str | None, int | None]) -> None:
        self.epoch, self._seq, self._follows = secrets.token_hex(8), 0, follows

    def _mark(self) -> EpochMark:
        previous, last = self._follows
        return EpochMark(epoch=self.epoch, high_water=self._seq, previous=previous, previous_last=last)

    def _open(self) -> None:
        self._lock = self._lock or journal_file.lock(self._path)
        told = self._reached.look()
        disk = journal_file.open_store(self._path, self._now.wall_us, told)
        try:
            if not self._opened:
                self._previous_end = disk.newest_end()
                self._follows = disk.newest_epoch()
            self._obeyed = disk.obeyed()
            # What was told must not seem to be ahead of what is made from now on.
            newest = max(disk.newest_position(), told.position if told else 0)
            if self._memory is None:  # else it comes with what it holds, which it would claim to have
                with disk.transaction():
                    disk.begin_epoch(self._mark(), self._now)
        except sqlite3.Error as error:
            disk.close()
            raise DiskTroubleError(f"{self._path}: {error}") from None
        if not self._opened and self._memory:
            self._memory.move(newest)
        self._position = max(newest, self._position + (0 if self._opened else newest))
        self._disk, self._opened = disk, True

    def _write_memory(self) -> None:
        if self._disk is None:
            self._open()
        disk, memory = self._disk, self._memory
        if disk is None or memory is None:
            return
        with disk.transaction():
            journal_memory.transfer(memory, disk)
            for change, marked_us in self._owed.all():
                disk.change(change, marked_us)
            newest, settled = disk.newest_position(), disk.settled(self.epoch)
        if self._seq:
            self._reached.tell(newest, self.epoch, self._seq, settled)
        self._position = max(self._position, newest)
        log.warning("the journal %s works again: what stood in memory is in it", self._path)
        self._owed.clear()
        memory.close()
        self._memory, self.trouble, self.recoveries = None, None, self.recoveries + 1

    def _place(self, build: Callable[[str, int], Measurement]) -> Measurement | None:
        """None if damage has begun another epoch meanwhile."""
        epoch = self.epoch
        measurement = build(epoch, self._seq + 1)
        stored = self.trouble is None and self._try(lambda disk: self._insert(disk, measurement), False)
        if not stored and self.epoch != epoch:
            return None
        if not stored:
            self._remember(measurement)
        self._seq, self._position = self._seq + 1, self._position + 1
        return measurement

    def _insert(self, disk: Store, measurement: Measurement) -> bool:
        with disk.transaction():
            disk.insert(self._position + 1, measurement, self._now)
            settled = disk.settled(measurement.epoch)
        self._reached.tell(self._position + 1, measurement.epoch, measurement.seq, settled)
        return True

    def _remember(self, measurement: Measurement) -> None:
        """What memory cannot hold either is a gap."""
        memory = self._memory
        if memory is None:
            raise RuntimeError("a measurement without a place")
        with memory.transaction():
            memory.insert(self._position + 1, measurement, self._now)
        journal_space.keep_within(memory, journal_memory.BYTES, GapReason.NOT_STORED, self._now.wall_us)

    def _try(self, work: Callable[[Store], Result], otherwise: Result) -> Result:
        """Do something on the disk, if it works; what it would not do, receipts and time-outs make up for."""
        if self._disk is None:
            return otherwise
        try:
            return work(self._disk)
        except sqlite3.Error as error:
            self._fail(error)
            return otherwise

    def _newest(
        self, store: Store | None, state: State, limit: int, within: Range, skip: Container[int] = ()
    ) -> list[Row]:
        def wanted(row: Row) -> bool:
            return row.position not in skip and not self._owed.covers(row.epoch, row.seq)

        none: list[Row] = []
        return (
            self._look(store, lambda one: one.newest(state, limit, within, wanted), none) if store else none
        )

    def _look(self, store: Store, work: Callable[[Store], Result], otherwise: Result) -> Result:
        return work(store) if store is self._memory else self._try(work, otherwise)

    def _fail(self, error: sqlite3.Error) -> None:
        if journal_file.is_broken(error):
            self._repair(error)
        else:
            self._suffer(f"{self._path}: {error}")

    def _repair(self, error: sqlite3.Error) -> None:
        """Begin a fresh epoch in a fresh file that takes over what the damaged one gives.

        Its positions go on, because whoever reads only what is newer than some position goes on, too.
        """
        log.error("the journal %s: %s", self._path, error)
        if self._disk is not None:
            self._disk.close()
            self._disk = None
        again = self._repaired_us is not None and 0 <= self._now.boot_us - self._repaired_us < RETRY_US
        self._repaired_us = self._now.boot_us
        self._draw_epoch((self.epoch, self._seq))
        if again:  # what damages a file at once will damage the next
            self._suffer(f"{self._path}: {error}")
            return
        try:
            self._open()
        except (DiskTroubleError, JournalError) as trouble:
            self._suffer(str(trouble))
        else:
            if self._memory:
                with self._memory.transaction():
                    self._memory.begin_epoch(self._mark(), self._now)

    def _suffer(self, trouble: str) -> None:
        if self.trouble is None:
            log.error("the journal %s: measurements are kept in memory until it works again", trouble)
        self.trouble = trouble
        if self._memory is None:
            self._memory = Store.in_memory()
        with self._memory.transaction():
            self._memory.begin_epoch(self._mark(), self._now)

    def _release(self) -> None:
        for store in (self._disk, self._memory):
            if store is not None:
                store.close()
        self._reached.close()
        if self._lock is not None:
            self._lock.release()


def _is_farther(known: EpochMark | None, other: EpochMark) -> bool:
    """Of an epoch that stands partly in memory both tell how far it came."""
    return known is not None and known.high_water > other.high_water


def _unmark(store: Store, command: str, since_us: int) -> int:
    with store.transaction():
        store.obey(command)
        return store.unmark(since_us)
