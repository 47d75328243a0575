"""Backing a ledger up while a collector writes it, putting a backup in its place, and beginning another."""

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from collector.ledger.admin.verify import Progress, Tell, Verified, verify
from collector.ledger.place import LedgerError, LedgerLock, mark
from collector.ledger.read.terms import LAST_RECEIVED
from collector.ledger.store import ask_again, connect, explain, prepare
from collector.ledger.transaction import LedgerTransaction
from host import rights

PAGES = 5000  # copied between two looks at the clock
MARGIN_US = 3_600_000_000
"""Distance before its newest row from which a restored ledger asks for records.

Agents use clocks of their own, and a record that is sent twice does no harm."""
_BUSY_SECONDS = 10.0


def back_up(ledger: Path, target: Path, now_us: int, tell: Tell, *, replace: bool) -> Verified:
    """Copy ``ledger`` as it is at one moment to ``target``, verify the copy, and only then give it its name.

    The copy is for its owner alone and one file, without a log beside it. Raises LedgerError, with nothing
    under that name that was not there before.
    """
    _must_exist(ledger)
    if target.exists() and target.samefile(ledger):
        raise LedgerError(f"ledger {ledger}: the backup would overwrite the ledger itself: name another file")
    if target.exists() and not replace:
        raise LedgerError(f"backup {target}: there already: name another file, or give --force")
    with _partial(target.with_name(target.name + ".partial")) as partial:
        _copy(ledger, partial, tell)
        found = _verified(partial, f"ledger {ledger}", now_us, tell)
        _give_name(partial, target, replace=replace)
    return found


def restore(ledger: Path, backup: Path, now_us: int, tell: Tell) -> Path | None:
    """Put a backup in the place of ``ledger``, and note in it to ask agents for what came since.

    Returns where the ledger is that it replaces, if there was one: nothing is deleted. Raises LedgerError,
    with ``ledger`` as it was: while a collector has it, or where the backup is not sound.
    """
    _must_exist(backup)
    if ledger.exists() and ledger.samefile(backup):
        raise LedgerError(f"backup {backup}: is the ledger itself: name another file")
    held = LedgerLock(ledger)
    try:
        with _partial(ledger.with_name(ledger.name + ".restoring")) as copy:
            _copy(backup, copy, tell)
            _ask_again(copy, backup, now_us)
            _verified(copy, f"backup {backup}", now_us, tell)
            aside = _set_aside(ledger, now_us)
            _give_name(copy, ledger, replace=True)
            mark(ledger)
    finally:
        held.release()
    return aside


def create(ledger: Path) -> None:
    """Begin a ledger, also where one was before. Raises LedgerError if there is a file that is not empty."""
    if ledger.exists() and ledger.stat().st_size:
        raise LedgerError(f"ledger {ledger}: there already: move it aside, or name another file")
    held = LedgerLock(ledger)
    try:
        engine = connect(ledger, writing=True)
        try:
            prepare(engine, ledger, anew=True)
        finally:
            engine.dispose()
        mark(ledger)
    finally:
        held.release()


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise LedgerError(f"ledger {path}: no such file")
    # Root reads what this user may not: a link of this user would make it copy that.
    if os.geteuid() == 0 and (link := rights.planted_link(path)):
        raise LedgerError(f"ledger {path}: {link} is a link that another user made: name the file itself")


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """New file that only its owner may read; removed at the end unless it was renamed."""
    try:
        _remove(path)
        os.close(rights.make_own(path))
        yield path
    except FileNotFoundError:
        raise LedgerError(f"{path.parent}: no such folder: make it, or name another") from None
    except OSError as error:
        raise LedgerError(f"ledger {error.filename or path}: {error.strerror}") from None
    except (sqlite3.Error, SQLAlchemyError) as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        with suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(source: Path, target: Path, tell: Tell) -> None:
    """Copy by SQLite's own backup."""
    progress = Progress(tell)

    def look(_status: int, left: int, total: int) -> None:
        progress.work = f"copied {total - left} of {total} pages"
        progress.look()

    with (
        closing(sqlite3.connect(source, timeout=_BUSY_SECONDS, isolation_level=None)) as reading,
        closing(sqlite3.connect(target, isolation_level=None)) as writing,
    ):
        reading.execute("PRAGMA query_only=ON")
        # An open read transaction holds the moment; otherwise each commit would restart the backup.
        reading.execute("BEGIN")
        reading.execute("SELECT count(*) FROM sqlite_master").fetchone()
        reading.backup(writing, pages=PAGES, progress=look, sleep=0)
        # One file, without a log beside it that a later copy could leave behind.
        writing.execute("PRAGMA journal_mode=DELETE").fetchone()


def _ask_again(copy: Path, backup: Path, now_us: int) -> None:
    engine = connect(copy, writing=True)
    try:
        prepare(engine, copy)
        with engine.begin() as connection:
            newest_us: int | None = connection.execute(LAST_RECEIVED).scalar()
            transaction = LedgerTransaction(connection)
            ask_again(transaction, max(0, (newest_us or 0) - MARGIN_US), now_us)
            transaction.finish()
        engine.dispose()
        _fold(copy)
    except LedgerError as error:
        text = str(error).removeprefix(f"ledger {copy}: ")
        raise LedgerError(f"backup {backup}: {text}") from None
    finally:
        engine.dispose()


def _verified(path: Path, called: str, now_us: int, tell: Tell) -> Verified:
    found = verify(path, now_us, tell)
    if found.problems:
        more = f" (and {len(found.problems) - 1} more)" if len(found.problems) > 1 else ""
        raise LedgerError(f"{called}: not sound: {found.problems[0]}{more}")
    return found


def _set_aside(ledger: Path, now_us: int) -> Path | None:
    """Give the ledger a second name, with its log folded in if it can still be read."""
    if not ledger.exists():
        return None
    _fold(ledger)
    stamp = datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = ledger.with_name(f"{ledger.name}.replaced-{stamp}-{secrets.token_hex(2)}")
    os.link(ledger, aside)
    for suffix in ("-wal", "-shm"):
        log = ledger.with_name(ledger.name + suffix)
        if log.exists():
            log.rename(aside.with_name(aside.name + suffix))
    return aside


def _fold(ledger: Path) -> None:
    """Fold the log into the file, unless the file is damaged. Raises LedgerError if a program has it open."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(ledger, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise LedgerError(
                    f"ledger {ledger}: another program has it open: end that one first"
                ) from None
            raise


def _give_name(made: Path, name: Path, *, replace: bool) -> None:
    """Rename a finished file durably: after a power cut its name has the whole file, or none."""
    descriptor = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if replace:
        made.replace(name)
    else:
        # Unlike a rename, a link fails if the name was taken meanwhile.
        os.link(made, name)
        made.unlink()
    folder = os.open(name.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
