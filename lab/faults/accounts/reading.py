"""Readers of ledger, journals and notes, for the account."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from lab.faults.accounts import notes
from lab.faults.accounts.account import Account, Content, DeclaredGap, Held, Noted, RecordIdentity, settle
from outbox.rows import State

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
_EPOCHS = (
    "SELECT s.site_id, e.epoch, e.high_water, e.committed, e.declared, e.previous FROM epochs e"
    " JOIN sites s ON s.key = e.site_key"
)
WAIT_S = 10.0
LEDGER = "ledger.db"


def site_of(agent: str) -> str:
    """The site of an agent: of ``SITE1~2``, a second one there, ``SITE1``."""
    return agent.partition("~")[0]


def journal_of(folder: Path, agent: str) -> Path:
    """Path of an agent's journal."""
    return folder / f"{agent}.db"


def notes_of(folder: Path, agent: str) -> Path:
    """Path of an agent's notes."""
    return folder / f"{agent}.notes"


def noted_of(folder: Path, agents: Sequence[str]) -> Noted:
    """The notes of all ``agents`` together."""
    noted = Noted()
    for agent in agents:
        noted |= notes.read(notes_of(folder, agent), site_of(agent))
    return noted


def account_of(folder: Path, agents: Sequence[str]) -> Account:
    """Account between the notes and journals of ``agents`` and the ledger. Raises sqlite3.Error."""
    found = set[RecordIdentity]()
    for agent in agents:
        if journal_of(folder, agent).exists():
            found |= committed(journal_of(folder, agent), site_of(agent))
    return settle(noted_of(folder, agents), of_ledger(folder / LEDGER), found)


def of_ledger(path: Path) -> Held:
    """Read the ledger in this file; empty before there is one. Raises sqlite3.Error."""
    if not path.exists():
        return Held()
    with closing(_read_only(path)) as connection:
        connection.execute("BEGIN")  # one moment for all that is read
        if not _has(connection, "measurements"):
            return Held()
        rows = connection.execute(_HELD).fetchall()
        conflicts = connection.execute(_CONFLICTS).fetchall()
        epochs = connection.execute(_EPOCHS).fetchall()
        followed = Counter((row[0], row[5]) for row in epochs)
        return Held(
            contents=Counter(Content(RecordIdentity(*row[:3]), row[3]) for row in rows),
            serials={RecordIdentity(*row[:3]): row[4] for row in rows if row[4]},
            conflicts=frozenset(Content(RecordIdentity(*row[:3]), row[3]) for row in conflicts),
            gaps=tuple(DeclaredGap(*row) for row in connection.execute(_GAPS)),
            marks={row[:2]: row[2] for row in epochs},
            counts={row[:2]: row[3:5] for row in epochs},
            forks=frozenset(key for key, count in followed.items() if key[1] and count > 1),
        )


def committed(path: Path, site: str) -> set[RecordIdentity]:
    """Records that a journal has as committed. Raises sqlite3.Error."""
    query = "SELECT epoch, seq FROM record WHERE state = ?"
    with closing(_read_only(path)) as connection:
        if not _has(connection, "record"):
            return set()
        return {RecordIdentity(site, *row) for row in connection.execute(query, (State.COMMITTED.value,))}


def _has(connection: sqlite3.Connection, table: str) -> bool:
    """Check that the program that owns the file has made this table."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,))
    return found.fetchone() is not None


def _read_only(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=WAIT_S)


def in_order(path: Path) -> bool:
    """Check that within each epoch times never fall with the sequence number. Raises sqlite3.Error."""
    query = "SELECT epoch_key, time_us FROM measurements ORDER BY epoch_key, seq"
    with closing(_read_only(path)) as connection:
        rows = connection.execute(query).fetchall()
    return all(one[1] <= other[1] for one, other in pairwise(rows) if one[0] == other[0])


def behind_s(path: Path, since_us: int) -> float:
    """The longest that a measurement made since then took to come, in seconds. Raises sqlite3.Error."""
    query = (
        "SELECT max(b.received_us - m.time_us) FROM measurements m JOIN batches b ON b.key = m.batch_key"
        " WHERE m.time_us > ?"
    )
    with closing(_read_only(path)) as connection:
        longest = connection.execute(query, (since_us,)).fetchone()[0]
    return float("inf") if longest is None else float(longest) / 1e6
