"""Short run of the kills, in which a single loss shows."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from lab.faults.accounts import reading
from lab.faults.accounts.account import Content, DeclaredGap, Held, Noted, RecordIdentity, settle
from lab.faults.scenarios import kills
from tests.servers import require

SITES = ("SITE1", "SITE2")


def test_the_account_closes_after_kills_and_shows_one_deleted_row(tmp_path: Path) -> None:
    require("mosquitto")
    lines: list[str] = []
    found = asyncio.run(kills.kill(tmp_path, kills.SHORT, 11, lines.append))
    assert kills.clean(found.account), found.account.lines()
    assert kills.enough(found, kills.SHORT), (found.killed, found.account.journalled)
    with closing(sqlite3.connect(tmp_path / reading.LEDGER)) as connection, connection:
        # The oldest one: its journal has had the receipt for long.
        connection.execute("DELETE FROM measurements WHERE key = (SELECT min(key) FROM measurements)")
    account = reading.account_of(tmp_path, SITES)
    assert not account.closes
    assert len(account.lost) == len(account.shown) == 1 == len(account.premature)


def test_a_declared_loss_is_a_loss_where_no_journal_was_full() -> None:
    one = Content(RecordIdentity("SITE1", "e", 1), b"digest")
    noted, gaps = Noted(frozenset({one}), frozenset({one})), (DeclaredGap("SITE1", "e", 1, 1),)
    account = settle(noted, Held(gaps=gaps, marks={("SITE1", "e"): 1}, counts={("SITE1", "e"): (0, 1)}))
    assert account.closes
    assert not kills.clean(account)
