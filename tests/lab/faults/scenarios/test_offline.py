"""Days without a collector, by value and in short; and that what the part looks for can be wrong."""

import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from lab.faults.accounts import reading
from lab.faults.accounts.effort import Effort
from lab.faults.scenarios import offline
from outbox.delivery.pace import Pace
from tests.servers import require


def test_a_day_away_across_a_months_end_is_drained_beside_what_is_live() -> None:
    require("mosquitto")
    told: list[str] = []
    assert offline.run(Effort(seed=1, short=True), told.append), told


def test_a_drain_that_lets_live_data_wait_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "Pace", partial(Pace, interval_s=300.0, backlog_interval_s=300.0))
    found = dict(offline.ahead(1, offline.SHORT_BEGIN_US, 10**8, 1, print))
    assert [told for told, true in found.items() if not true] == ["live data is at most 60 s behind"]


def test_a_journal_that_is_too_small_declares_what_it_dropped() -> None:
    told: list[str] = []
    found = offline.ahead(1, offline.SHORT_BEGIN_US, 1_000_000, 1, told.append)
    assert [claim for claim, true in found if not true] == []
    assert any("declared gaps 0" not in line for line in told if "declared gaps" in line)


def test_an_order_that_is_not_that_of_time_is_found_out(tmp_path: Path) -> None:
    offline.ahead(1, offline.SHORT_BEGIN_US, 10**8, 1, print, tmp_path)
    path = tmp_path / reading.LEDGER
    assert reading.in_order(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE measurements SET time_us = time_us + 3600000000 WHERE seq = 5")
    assert not reading.in_order(path)
