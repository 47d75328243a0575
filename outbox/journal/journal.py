"""The durable record of one program: every record is committed here before anything else happens to it.

Identity is (epoch, seq). Every opening draws a new random epoch, chained to the one before with its last seq.
So a restored or power-cut disk cannot use an identity twice.

The journal has two states. *On disk*, a commit is on the disk when it returns. *In memory*, the disk takes
nothing, and records wait in the same tables in memory.

    state      event                             next state
    ---------  --------------------------------  ---------------------------------------------------
    on disk    the disk fails                    in memory, in the same epoch
    on disk    the file is damaged               on disk, in a new epoch of a new file that takes over
                                                 what the damaged one still has
    on disk    the new file is damaged at once   in memory, in a new epoch
    in memory  the disk works again              on disk: what memory holds is written

**Never:**

- one identity has two contents;
- a record that a heartbeat on the disk names is lost without a declared gap;
- the event loop waits for the disk (``thread``).
"""

import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from outbox.journal import file as journal_file
from outbox.journal import gaps, heartbeat, space
from outbox.journal import memory as journal_memory
from outbox.journal import store as journal_store
from outbox.journal.disk import JournalDisk
from outbox.journal.file import DiskTroubleError, JournalError
from outbox.journal.heartbeat import Heartbeat, Reach
from outbox.journal.memory import Memory
from outbox.journal.store import Store
from outbox.rows import Change, Counts, Filing, PreviousRun, Row
from wire.messages import envelope as messages
from wire.messages.envelope import EpochMark, EpochRange, Gap, GapReason
from wire.records import ClockReading

log = logging.getLogger(__name__)

GAP_EPOCHS = 30  # of the marks in an envelope
RELEASED_AT_ONCE = 10_000
_UNFILED = Filing()

Result = TypeVar("Result")
Record = TypeVar("Record", bound=msgspec.Struct)


class _Numbers:
    """Identities and positions as they are given out. ``durable``: the last ``seq`` that is on the disk."""

    def __init__(self) -> None:
        self.epoch = secrets.token_hex(8)
        self.seq = self.durable = self.position = 0
        self.follows: tuple[str | None, int | None] = (None, None)

    def begin_epoch(self) -> None:
        """Draw another epoch, which follows the present one."""
        self.follows = self.epoch, self.seq
        self.epoch, self.seq, self.durable = secrets.token_hex(8), 0, 0

    @property
    def mark(self) -> EpochMark:
        """Mark of the present epoch."""
        previous, last = self.follows
        return EpochMark(epoch=self.epoch, high_water=self.seq, previous=previous, previous_last=last)


class Journal:
    """One open journal. Not for several threads at once; every method may wait for the disk.

    Raises JournalError on opening if the path cannot be used. A disk that fails is no such case: records are
    kept in memory until it works. ``generation`` grows when older rows can be read again after that, or in
    another file. ``previous_run`` and ``last_heartbeat`` tell of the run before this one.
    """

    def __init__(self, path: Path, size: int, now: ClockReading) -> None:
        self.generation = 0
        self.previous_run: PreviousRun | None = None
        self._disk = JournalDisk(path)
        self._beside = heartbeat.path_beside(self._disk.path)
        # Read before the file is opened: what it names and the file lacks is declared lost by the opening.
        self.last_heartbeat: Heartbeat | None = heartbeat.read(self._beside)
        self._reach: tuple[Reach, ...] = self.last_heartbeat.epochs if self.last_heartbeat else ()
        self._memory: Memory | None = None
        self._numbers = _Numbers()
        self._commands: list[str] = []
        self._size = size
        self._now = now
        try:
            self._open()
        except DiskTroubleError as trouble:
            self._fail(str(trouble))
        # Whoever gets an exception gets no journal to close, and the lock would stay.
        except BaseException:
            self._disk.close()
            raise

    @property
    def trouble(self) -> str | None:
        """Reason for keeping records in memory, None while the disk works."""
        return self._disk.trouble

    @property
    def epoch(self) -> str:
        """The present epoch."""
        return self._numbers.epoch

    def commit(
        self, build: Callable[[str, int], Record], now: ClockReading, filing: Filing = _UNFILED
    ) -> Record:
        """Give a record its identity and make it durable, or keep it in memory while the disk fails.

        ``build`` makes the record from epoch and sequence number. If the file turns out to be damaged just
        then, it is called again for the epoch that follows.
        """
        self.recover(now)
        while True:
            numbers = self._numbers
            epoch, seq = numbers.epoch, numbers.seq + 1
            record = build(epoch, seq)
            row = Row(numbers.position + 1, epoch, seq, messages.encode(record))
            if self._put(row, filing):
                break
        # Only now: a number drawn and not kept would be a hole, which the collector counts as missing.
        numbers.seq, numbers.position = seq, row.position
        return record

    def waiting(self, limit: int, *, after: int = 0, skip: Container[int] = ()) -> list[Row]:
        """The newest rows that wait for a receipt, newest first, no more than two batches' bytes.

        Their positions are greater than ``after`` and not in ``skip``.
        """

        def wanted(row: Row) -> bool:
            return row.position not in skip and not self._is_owed(row)

        found = self._from_each(lambda store: store.newest_waiting(limit, after, wanted))
        return sorted(found, key=lambda row: -row.position)[:limit]

    def waiting_at(self, positions: Sequence[int]) -> list[Row]:
        """Those rows at ``positions`` that wait for a receipt."""
        found = self._from_each(lambda store: store.waiting_at(positions))
        return [row for row in found if not self._is_owed(row)]

    def apply(self, changes: Iterable[Change], now: ClockReading, named: Iterable[EpochRange] = ()) -> int:
        """Note what receipts say of rows and gaps; returns how many rows changed."""
        self._now = now
        # By a wrong clock a committed row would be dropped at once, or be kept for years.
        judged_us = now.wall_us if now.synchronised else None
        changes, named = list(changes), list(named)
        done = self._memory.store.apply(changes, named, judged_us) if self._memory else 0
        stored = self._on_disk(lambda disk: disk.apply(changes, named, judged_us))
        if stored is None and self._memory:
            for change in changes:
                self._memory.owe(change, judged_us)
        return done + (stored or 0)

    def release(self) -> int:
        """Let rejected rows wait again, those first that were judged longest ago; returns how many."""
        return sum(self._from_each(lambda store: [store.release(RELEASED_AT_ONCE)]))

    def resend(self, command: str, since_us: int, ranges: Sequence[EpochRange] = ()) -> int | None:
        """Let committed rows of ``ranges`` wait again, and note the command, at once.

        Without ranges, those that were committed since ``since_us``. None if it was obeyed before, or
        if the disk does not take it: then it is not obeyed.
        """
        if command in self._commands:
            return None
        # On the disk first: noted in memory alone it would be obeyed again by the next run.
        changed = self._on_disk(lambda disk: disk.resend(command, since_us, ranges))
        if changed is None:
            return None
        self._commands = [*self._commands, command][-journal_store.COMMANDS_REMEMBERED :]
        if self._memory:
            changed += self._memory.store.resend(command, since_us, ranges)
            self._memory.forget_owed()
        return changed

    @property
    def obeyed(self) -> str | None:
        """The id of the last command obeyed."""
        return self._commands[-1] if self._commands else None

    def marks(self, epochs: Sequence[str]) -> tuple[EpochMark, ...]:
        """Marks of the present epoch and of those named: high water, and the epoch before."""
        wanted = list(dict.fromkeys(epoch for epoch in epochs if epoch != self.epoch))
        marks = self._from_each(lambda store: store.marks(wanted)) if wanted else []
        # Of an epoch that is partly in memory both have a mark: the farther one counts.
        found = {mark.epoch: mark for mark in sorted(marks, key=lambda mark: mark.high_water)}
        return self._numbers.mark, *found.values()

    def gaps(self, limit: int) -> list[Gap]:
        """Declared gaps that no receipt has named, of as many epochs as marks have room for."""
        found = self._from_each(lambda store: gaps.unnamed(store.connection, limit))
        epochs = list(dict.fromkeys(gap.epoch for gap in found))[:GAP_EPOCHS]
        return [gap for gap in found if gap.epoch in epochs][:limit]

    def newest_position(self) -> int:
        """The position of the newest row, 0 if there is none."""
        return self._numbers.position

    def newest_slots(self) -> dict[str, int]:
        """The wall time of each schedule's newest slot."""
        found = self._from_each(lambda store: list(store.newest_slots().items()))
        return dict(reversed(found))

    def resumable(self, resume_key: str) -> bytes | None:
        """The newest record that was filed under this key."""
        found = self._from_each(lambda store: [journal_store.resumable(store.connection, resume_key)])
        return next((record for record in found if record), None)

    def prune(self, now: ClockReading) -> None:
        """Drop what a receipt named a week ago, and keep the file within its size."""
        self._now = now
        self._on_disk(lambda disk: space.forget_old(disk, now))
        dropped = self._on_disk(
            lambda disk: space.keep_within(disk, self._size, GapReason.DROPPED, now.wall_us)
        )
        if dropped:
            log.error(
                "the journal %s is full of records that the collector has not got: dropped %d of the oldest;"
                " look at the broker and the collector, or give the journal more space",
                self._disk.path,
                dropped,
            )

    def beat(self, now: ClockReading, *, stopped: bool = False) -> None:
        """Write the heartbeat. Raises OSError if the disk does not take it."""
        self._reach = self._on_disk(Store.reach) or self._reach
        heartbeat.write(self._beside, Heartbeat(now, stopped, self._reach))

    def recover(self, now: ClockReading, *, last: bool = False) -> None:
        """Write what is in memory, if the disk works again; tried every ten seconds, however often asked."""
        self._now = now
        if self._memory is None or not self._disk.is_due(now, last=last):
            return
        try:
            self._write_memory(self._memory)
        except (DiskTroubleError, JournalError) as error:
            self._fail(str(error))
        except sqlite3.Error as error:
            self._handle(error)

    def counts(self) -> Counts:
        """Counts of the journal's records."""
        each = self._from_each(lambda store: [journal_store.counts(store.connection)])
        return Counts(*(sum(getattr(one, name) for one in each) for name in Counts.__struct_fields__))

    def close(self, now: ClockReading | None = None) -> None:
        """Note that the program ends in order, fold everything into one file, let another program have it."""
        self.recover(now or self._now, last=True)
        numbers = self._numbers
        if self._memory is None:
            # An epoch that memory still has did not end in order: what it lacks on the disk is lost.
            self._on_disk(lambda disk: disk.end_epoch(numbers.epoch, numbers.seq, self._now))
        if self._memory is not None:
            log.error("records kept in memory could not be written (%s) and are lost", self.trouble)
        with contextlib.suppress(OSError):
            self.beat(self._now, stopped=True)
        self.release_file()

    def release_file(self) -> None:
        """Close as a kill does: nothing is noted."""
        if self._memory is not None:
            self._memory.store.close()
        self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_owed(self, row: Row) -> bool:
        return self._memory is not None and self._memory.is_owed(row)

    def _open(self) -> None:
        """Begin the present epoch in the file, unless memory has it: then it comes with what it holds."""
        numbers, is_first = self._numbers, not self._disk.was_open
        disk = self._disk.open(self._known(), self._now)
        try:
            if is_first:
                self.previous_run, numbers.follows = disk.previous_run(), disk.newest_epoch()
            self._commands = disk.obeyed()
            numbers.position = max(numbers.position, disk.newest_position())
            if self._memory is None:
                with disk.transaction():
                    disk.begin_epoch(numbers.mark, self._now)
        except sqlite3.Error as error:
            self._disk.leave()
            raise DiskTroubleError(f"{self._disk.path}: {error}") from None

    def _known(self) -> tuple[Reach, ...]:
        """Records that were on the disk for certain: by the last heartbeat and the commits since."""
        epoch, durable = self._numbers.epoch, self._numbers.durable
        if not durable:
            return self._reach
        resolved = max((one.resolved for one in self._reach if one.epoch == epoch), default=0)
        return Reach(epoch, resolved, durable), *(one for one in self._reach if one.epoch != epoch)

    def _put(self, row: Row, filing: Filing) -> bool:
        """Keep a row on the disk or in memory; False if damage began another epoch meanwhile."""
        if self._memory is None and self._on_disk(lambda disk: self._insert(disk, row, filing)):
            self._numbers.durable = row.seq
            return True
        if self._numbers.epoch != row.epoch or self._memory is None:
            return False
        store = self._memory.store
        self._insert(store, row, filing)
        # What memory has no room for either is lost.
        space.keep_within(store, journal_memory.BYTES, GapReason.NOT_STORED, self._now.wall_us)
        return True

    def _insert(self, store: Store, row: Row, filing: Filing) -> bool:
        with store.transaction():
            store.insert(row, filing, self._now)
        return True

    def _write_memory(self, memory: Memory) -> None:
        if self._disk.store is None:
            self._open()
        disk, numbers = self._disk.store, self._numbers
        if disk is None:
            return
        with disk.transaction():
            memory.write_to(disk)
            disk.chain(numbers.mark)
        numbers.position = max(numbers.position, disk.newest_position())
        numbers.durable = numbers.seq
        memory.store.close()
        self._memory = None
        self._disk.works()
        self.generation += 1

    def _on_disk(self, work: Callable[[Store], Result]) -> Result | None:
        """Do something on the disk, None if it fails: receipts and time-outs make up for that."""
        if self._disk.store is None:
            return None
        try:
            return work(self._disk.store)
        except sqlite3.Error as error:
            self._handle(error)
            return None

    def _from_each(self, work: Callable[[Store], Sequence[Result]]) -> list[Result]:
        """Findings of memory and disk together, memory first; a disk that fails finds nothing."""
        found = list(work(self._memory.store)) if self._memory else []
        return found + list(self._on_disk(work) or ())

    def _handle(self, error: sqlite3.Error) -> None:
        if journal_file.is_broken(error):
            self._leave_damaged(str(error))
            return
        if not journal_file.stays_open(error):
            self._disk.leave()  # an I/O error may stay with the open file, and pass with another opening
        self._fail(f"{self._disk.path}: {error}")

    def _leave_damaged(self, why: str) -> None:
        """Go on in a new epoch in a new file that takes over what the damaged one still has.

        Positions go on, because delivery goes on.
        """
        known = self._known()
        is_worth = self._disk.damaged(why, self._now)
        self._numbers.begin_epoch()
        self._reach = known
        self.generation += 1
        try:
            if not is_worth:
                raise DiskTroubleError(f"{self._disk.path}: {why}")
            self._open()
        except (DiskTroubleError, JournalError) as trouble:
            self._fail(str(trouble))
        else:
            if self._memory is not None:
                self._begin_in_memory(self._memory)

    def _fail(self, trouble: str) -> None:
        self._disk.fail(trouble)
        if self._memory is None:
            self._memory = Memory()
        self._begin_in_memory(self._memory)

    def _begin_in_memory(self, memory: Memory) -> None:
        with memory.store.transaction():
            memory.store.begin_epoch(self._numbers.mark, self._now)
