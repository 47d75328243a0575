"""The journal's file as something that works or fails: who has it, and when to try it again."""

import logging
from collections.abc import Sequence
from pathlib import Path

from host.lock import Lock
from outbox.journal import file as journal_file
from outbox.journal.heartbeat import Reach
from outbox.journal.store import Store
from wire.records import ClockReading

log = logging.getLogger(__name__)

RETRY_US = 10_000_000


class JournalDisk:
    """``store`` is None while the file cannot be opened; ``trouble`` says why it takes nothing now.

    ``was_open``: it was opened at least once.
    """

    def __init__(self, configured: Path) -> None:
        self.path = journal_file.place(configured)
        self.store: Store | None = None
        self.trouble: str | None = None
        self.was_open = False
        self._configured = configured
        self._lock: Lock | None = None
        self._tried_us = 0
        self._damaged_us: int | None = None
        if self.path != configured:
            log.warning(
                "%s was written by Plancher 0.1 and is left as it is: using %s", configured, self.path
            )

    def open(self, known: Sequence[Reach], now: ClockReading) -> Store:
        """Open the file. Raises JournalError and DiskTroubleError."""
        self._tried_us = now.boot_us
        self._lock = self._lock or journal_file.lock(self._configured)
        self.store = journal_file.open_store(self.path, known, now.wall_us)
        self.was_open = True
        return self.store

    def fail(self, trouble: str) -> None:
        """It takes nothing from now on, until it is tried again with success."""
        if self.trouble is None:
            log.error("cannot write the journal (%s): keeping records in memory until it works", trouble)
        self.trouble = trouble

    def is_due(self, now: ClockReading, *, last: bool = False) -> bool:
        """True if it is to be tried again: every ten seconds of trouble, and at the end (``last``)."""
        if self.trouble is None or not (last or not 0 <= now.boot_us - self._tried_us < RETRY_US):
            return False
        self._tried_us = now.boot_us
        return True

    def works(self) -> None:
        """It took what there was."""
        log.warning("the journal %s works again: it has the records that were kept in memory", self.path)
        self.trouble = None

    def damaged(self, why: str, now: ClockReading) -> bool:
        """Leave a damaged file; whether opening another is worth it: not twice within ten seconds."""
        log.error("the journal %s is damaged: %s", self.path, why)
        before, self._damaged_us = self._damaged_us, now.boot_us
        self.leave()
        return before is None or not 0 <= now.boot_us - before < RETRY_US

    def close(self) -> None:
        """Fold everything into one file and let another program have it."""
        self.leave()
        if self._lock is not None:
            self._lock.release()

    def leave(self) -> None:
        """Close the file; the lock stays."""
        if self.store is not None:
            self.store.close()
        self.store = None
