"""What ledger, journals and notes hold, read from their files as the account needs it."""

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from agent.journal import State
from lab.faults import notes
from lab.faults.account import Account, Content, Gap, Held, Identity, Noted, settle

_HELD = (
    "SELECT s.site_id, e.epoch, m.seq, m.digest, m.detail FROM measurements m"
    " JOIN epochs e ON e.key = m.epoch_key JOIN sites s ON s.key = e.site_key"
)
_CONFLICTS = (
    "SELECT s.site_id, e.epoch, c.seq, c.digest FROM conflicts c"
    " JOIN epochs e ON e.key = c.epoch_key JOIN sites s ON s.key = e.site_key"
)
_GAPS = (
    "SELECT s.site_id, e.epoch, g.first, g.last FROM gaps g"
    " JOIN epochs e ON e.key = g.epoch_key JOIN sites s ON s.key = e.site_key"
)
_MARKS = "SELECT s.site_id, e.epoch, e.high_water FROM epochs e JOIN sites s ON s.key = e.site_key"
WAIT_S = 10.0
LEDGER = "ledger.db"


def journal_of(folder: Path, site: str) -> Path:
    """Where a site has its journal."""
    return folder / f"{site}.db"


def notes_of(folder: Path, site: str) -> Path:
    """Where a site keeps its notes."""
    return folder / f"{site}.notes"


def account_of(folder: Path, sites: Iterable[str]) -> Account:
    """How things stand between the notes and journals of ``sites`` and the ledger. Raises sqlite3.Error."""
    noted, found = Noted(), set[Identity]()
    for site in sites:
        noted |= notes.read(notes_of(folder, site), site)
        if journal_of(folder, site).exists():
            found |= marked(journal_of(folder, site), site)
    return settle(noted, of_ledger(folder / LEDGER), found)


def of_ledger(path: Path) -> Held:
    """What the ledger in this file holds. Raises sqlite3.Error."""
    with closing(_read_only(path)) as connection:
        connection.execute("BEGIN")  # one moment for all that is read
        rows = connection.execute(_HELD).fetchall()
        conflicts = connection.execute(_CONFLICTS).fetchall()
        return Held(
            contents=Counter(Content(Identity(*row[:3]), row[3]) for row in rows),
            serials={Identity(*row[:3]): row[4] for row in rows if row[4]},
            conflicts=frozenset(Content(Identity(*row[:3]), row[3]) for row in conflicts),
            gaps=tuple(Gap(*row) for row in connection.execute(_GAPS)),
            marks={(site, epoch): last for site, epoch, last in connection.execute(_MARKS)},
        )


def marked(path: Path, site: str) -> set[Identity]:
    """What a journal has marked as being in the ledger. Raises sqlite3.Error."""
    query = "SELECT epoch, seq FROM measurement WHERE state = ?"
    with closing(_read_only(path)) as connection:
        return {Identity(site, *row) for row in connection.execute(query, (State.MARKED.value,))}


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_S)
