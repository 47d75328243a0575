"""Bound of a site's epochs: what is over it, what is not, and that other sites do not notice."""

from pathlib import Path

import pytest

from collector.ledger import keys
from collector.ledger.admin.verify import verify
from collector.ledger.write.writer import Ledger
from tests.collector.examples import NOW_US, SITE, arrival, stamp
from tests.collector.ledger.filled import batch, commit, gap, query, silent
from wire.messages.envelope import EpochMark, Reason, ReceiptStatus

MOST = 3


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MOST_EPOCHS", MOST)


def epoch(number: int) -> str:
    return f"{number:016x}"


def epochs(path: Path) -> int:
    ((count,),) = query(path, "SELECT count(*) FROM epochs WHERE site_key = 1")
    return int(count)


def begin(ledger: Ledger, *numbers: int, site: str = SITE) -> list[ReceiptStatus]:
    """Commit a record of each of these epochs in one message."""
    records = [stamp(1, epoch=epoch(number)) for number in numbers]
    (committed,) = commit(ledger, arrival(*records, site=site))
    return [one.status for one in committed.records]


def test_an_epoch_too_many_is_rejected_by_its_reason(ledger: Ledger, path: Path) -> None:
    begin(ledger, 1)  # the mark of each message names another epoch
    assert begin(ledger, 2) == [ReceiptStatus.COMMITTED]
    assert begin(ledger, 3, 1) == [ReceiptStatus.COMMITTED, ReceiptStatus.REJECTED]
    (committed,) = commit(ledger, arrival(stamp(1, epoch=epoch(4))))
    assert committed.rejected == (Reason.OVER_QUOTA,)
    assert epochs(path) == MOST
    assert verify(path, NOW_US, silent).problems == []


def test_epochs_that_are_there_go_on_and_other_sites_begin_theirs(ledger: Ledger) -> None:
    begin(ledger, 1)
    begin(ledger, 2)
    (committed,) = commit(ledger, arrival(stamp(2, epoch=epoch(2))))
    assert [one.status for one in committed.records] == [ReceiptStatus.COMMITTED]
    assert begin(ledger, 7, site="other") == [ReceiptStatus.COMMITTED]


def test_marks_and_gaps_begin_none_either(ledger: Ledger, path: Path) -> None:
    begin(ledger, 1)
    begin(ledger, 2)
    marks = tuple(EpochMark(epoch=epoch(n), high_water=9, previous=epoch(n + 100)) for n in range(20, 30))
    (committed,) = commit(ledger, batch(marks=marks, gaps=(gap(1, 5, epoch=epoch(50)),)))
    assert committed.receipt is not None
    assert committed.receipt.declared == ()
    assert epochs(path) == MOST


def test_the_bound_holds_after_a_restart(ledger: Ledger, path: Path) -> None:
    begin(ledger, 1)
    begin(ledger, 2)
    ledger.close()
    again = Ledger(path)
    try:
        begin(again, *range(10, 40))
        assert epochs(path) == MOST
    finally:
        again.close()
