"""Keeps a second writer off one ledger: another collector, or a restore while one runs."""

from pathlib import Path

from collector.ledger.store import LedgerError
from host.lock import Lock, LockedError, lock_path


def take(ledger: Path) -> Lock:
    """The ledger for this process alone. Raises LedgerError."""
    try:
        return Lock(ledger)
    except LockedError as error:
        text = f"another collector (process {error.holder}) has it: end that one first"
    except OSError as error:
        name = lock_path(ledger).name
        text = f"{name}: {error.strerror}: does the folder exist, and may this user write there?"
    raise LedgerError(f"ledger {ledger}: {text}")
