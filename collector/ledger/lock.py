"""Keeps a second writer off one ledger: another collector, or a restore while one runs."""

from pathlib import Path

from collector.ledger.store import LedgerError
from host.lock import HeldError, Lock, beside


def take(ledger: Path) -> Lock:
    """The ledger for this process alone. Raises LedgerError."""
    try:
        return Lock(ledger)
    except HeldError as error:
        text = f"another collector (process {error.holder}) has it: end that one first"
    except OSError as error:
        name = beside(ledger).name
        text = f"{name}: {error.strerror}: does the folder exist, and may this user write there?"
    raise LedgerError(f"ledger {ledger}: {text}")
