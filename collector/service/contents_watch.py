"""Watch that reads the whole ledger once a week and checks its contents, a portion at a time."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from collector.ledger.admin.contents import BATCHES, ContentsCheck, newest_batch, other_tables
from collector.ledger.store import connect, explain
from host import atomic_write

log = logging.getLogger(__name__)

WEEK_S = 7 * 86_400
LEAST_PAUSE_S = 1.0
REPORTED = 100  # problems of one check that are logged, each in a line
KEEP_EVERY = 60  # portions


class _Progress(msgspec.Struct):
    """State of a check, kept beside the ledger for the next start. Times are in Unix microseconds.

    ``done_us`` is the begin of the last complete check. ``earlier`` is the number of problems that it found.
    """

    begun_us: int = 0
    after_key: int = 0
    problems: int = 0
    done_us: int = 0
    earlier: int = 0


class ContentsWatch:
    """Checks rows and batches in a thread, so slowly that a whole ledger takes a week.

    ``path`` is the ledger. ``problems`` is the number of rows, batches and tables that this check, or the
    last one, found damaged. ``first`` is the newest such finding of this run.
    """

    def __init__(self, path: Path, now_us: Callable[[], int]) -> None:
        self.first = ""
        self._path = path
        self._kept = path.with_name(f"{path.name}-check")
        self._now_us = now_us
        self._progress = self._load()

    @property
    def problems(self) -> int:
        """Damaged rows, batches and tables that are known."""
        return max(self._progress.problems, self._progress.earlier)

    @property
    def checked_us(self) -> int:
        """Begin of the last complete check, or 0."""
        return self._progress.done_us

    async def run(self) -> None:
        """Check until cancelled; a week after its begin, begin anew."""
        while True:
            progress = self._progress
            if not progress.begun_us:
                progress.begun_us = self._now_us()
            engine = connect(self._path, writing=False)
            try:
                await self._batches(engine)
                await self._other_tables(engine)
            finally:
                engine.dispose()
            log.info("ledger %s: checked whole, %d problems", self._path, progress.problems)
            left_s = WEEK_S - (self._now_us() - progress.begun_us) / 1e6
            self._progress = _Progress(done_us=progress.begun_us, earlier=progress.problems)
            self._keep()
            await asyncio.sleep(max(LEAST_PAUSE_S, left_s))

    async def _batches(self, engine: Engine) -> None:
        check, portions = ContentsCheck(self._progress.after_key), 0
        more = True
        while more:
            more, newest = await asyncio.to_thread(self._portion, engine, check)
            self._progress.after_key = check.after_key
            portions += 1
            if portions % KEEP_EVERY == 0:
                self._keep()
            await asyncio.sleep(max(LEAST_PAUSE_S, WEEK_S / (1 + newest / BATCHES)) if more else 0)

    def _portion(self, engine: Engine, check: ContentsCheck) -> tuple[bool, int]:
        """Check some batches; returns true if there are more, and the key of the newest batch."""
        try:
            with engine.connect() as connection:
                found = check.batches(connection)
                newest = newest_batch(connection)
        except SQLAlchemyError as error:
            self._report([f"batches up to {check.after_key} cannot be read: {explain(error)}"])
            return False, 0
        self._report(found or [])
        return found is not None, newest

    async def _other_tables(self, engine: Engine) -> None:
        check = ContentsCheck()
        for table in other_tables():
            after: int | None = None
            while True:
                try:
                    with engine.connect() as connection:
                        found, after = await asyncio.to_thread(check.table, connection, table, after)
                except SQLAlchemyError as error:
                    found, after = [f"table {table.name}: a row cannot be read: {explain(error)}"], None
                self._report(found)
                await asyncio.sleep(LEAST_PAUSE_S)
                if after is None:
                    break

    def _report(self, found: list[str]) -> None:
        for problem in found:
            self._progress.problems += 1
            self.first = self.first or problem
            if self._progress.problems <= REPORTED:
                log.error("ledger %s: damaged: %s", self._path, problem)

    def _load(self) -> _Progress:
        try:
            return msgspec.json.decode(self._kept.read_bytes(), type=_Progress)
        except (OSError, msgspec.DecodeError):
            return _Progress()

    def _keep(self) -> None:
        try:
            atomic_write.replace(self._kept, msgspec.json.encode(self._progress), durably=False)
        except OSError as error:
            log.warning("cannot keep how far the ledger is checked as %s (%s)", self._kept, error.strerror)
