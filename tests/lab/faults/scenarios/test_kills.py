"""A slice of the kill rig, and that a single loss in it shows."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from lab.faults.accounts import reading
from lab.faults.accounts.account import Content, Gap, Held, Identity, Noted, settle
from lab.faults.scenarios import kills
from tests.servers import require

SITES = ("SITE1", "SITE2")


def test_after_kills_of_everything_the_account_closes_and_one_row_taken_out_shows(tmp_path: Path) -> None:
    require("mosquitto")
    told: list[str] = []
    found = asyncio.run(kills.kill(tmp_path, kills.SHORT, 11, told.append))
    assert kills.clean(found.account), found.account.lines()
    assert kills.enough(found, kills.SHORT), (found.killed, found.account.journalled)
    with closing(sqlite3.connect(tmp_path / reading.LEDGER)) as connection, connection:
        connection.execute("DELETE FROM measurements WHERE key = (SELECT max(key) FROM measurements)")
    account = reading.account_of(tmp_path, SITES)
    assert not account.closes
    assert len(account.lost) == len(account.shown) == 1 == len(account.premature)


def test_a_loss_that_was_declared_is_a_loss_all_the_same_where_no_journal_was_full() -> None:
    one = Content(Identity("SITE1", "e", 1), b"digest")
    noted, gaps = Noted(frozenset({one}), frozenset({one})), (Gap("SITE1", "e", 1, 1),)
    account = settle(noted, Held(gaps=gaps, marks={("SITE1", "e"): 1}, counts={("SITE1", "e"): (0, 1)}))
    assert account.closes
    assert not kills.clean(account)
