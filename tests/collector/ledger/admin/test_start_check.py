"""Check of a ledger at a start: what it finds, how far it looks, and how the program ends."""

from pathlib import Path

import pytest

from collector.ledger.admin.contents import BATCHES
from collector.ledger.admin.start_check import DAY_US, check_newest_day
from collector.ledger.place import LedgerError
from collector.ledger.write.writer import Ledger
from tests.collector.examples import NOW_US
from tests.collector.ledger.filled import batch, change, commit

OLD_US = NOW_US - 2 * DAY_US


@pytest.fixture
def closed(ledger: Ledger, path: Path) -> Path:
    """A batch of two days ago behind 250 others of the same day, and one of today."""
    for seq in range(1, 252):
        commit(ledger, batch(seq, received_us=OLD_US + seq))
    commit(ledger, batch(300))
    ledger.close()
    return path


def test_a_sound_ledger_is_told_with_what_was_read(closed: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    check_newest_day(closed)
    assert "its newest 200 batches" in caplog.text


def test_a_day_of_more_batches_than_a_portion_is_read_backwards(ledger: Ledger, path: Path) -> None:
    for seq in range(1, 2 * BATCHES + 7):
        commit(ledger, batch(seq, site=f"site-{seq % 3}"))
    check_newest_day(path)
    change(path, "UPDATE measurements SET bytes_sent = 7 WHERE seq = 1")
    with pytest.raises(LedgerError, match="table measurements, key 1: the row was altered"):
        check_newest_day(path)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "UPDATE measurements SET bytes_sent = bytes_sent + 1 WHERE seq = 300",
            "table measurements, key 252",
        ),
        ("DELETE FROM stamp_values WHERE measurement_key = 252", "batch 252 .*not as it was received"),
        ("DELETE FROM measurements WHERE seq = 300", "batch 252 .*0 of its 1 records are there"),
        ("DROP INDEX boots_to_redate", "index boots_to_redate: missing"),
    ],
)
def test_damage_of_the_newest_day_is_refused_with_a_remedy(closed: Path, statement: str, named: str) -> None:
    change(closed, statement)
    with pytest.raises(LedgerError, match=f"damaged: .*{named}.*: restore a backup .*--unchecked"):
        check_newest_day(closed)


def test_what_is_older_than_a_day_is_left_to_the_weekly_check(closed: Path) -> None:
    change(closed, "UPDATE measurements SET bytes_sent = bytes_sent + 1 WHERE seq = 1")
    check_newest_day(closed)


def test_a_check_without_time_reads_nothing(closed: Path) -> None:
    change(closed, "UPDATE measurements SET bytes_sent = bytes_sent + 1")
    check_newest_day(closed, longest_s=0.0)


def test_an_empty_ledger_passes(ledger: Ledger, path: Path) -> None:
    check_newest_day(path)
