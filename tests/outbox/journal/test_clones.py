"""One disk's content in two places: neither takes the other's names, and nothing is swallowed."""

import shutil
from pathlib import Path

from outbox.journal.journal import Journal
from outbox.publisher import compose
from outbox.rows import Row
from tests.outbox.journalled import CLOCK, SIZE, Identity, build, commit, identities, later
from tests.outbox.ledger import SENDER, LedgerModel


def copied(source: Path, target: Path) -> Path:
    """As a card is copied: all of its files, with what the log holds."""
    shutil.copytree(source, target)
    return target / "journal.db"


def measure(journal: Journal, what: str) -> set[Identity]:
    return identities(commit(journal, 5, detail=what))


def deliver(journal: Journal, ledger: LedgerModel) -> None:
    rows: list[Row] = journal.waiting(100)
    marks = journal.marks(list({row.epoch for row in rows}))
    ledger.take(compose(SENDER, CLOCK, marks, rows))


def test_a_card_in_a_second_machine_goes_on_under_names_of_its_own(tmp_path: Path) -> None:
    ledger = LedgerModel()
    first = Journal(tmp_path / "first" / "journal.db", SIZE, CLOCK)
    common = measure(first, "before")
    second = Journal(copied(tmp_path / "first", tmp_path / "second"), SIZE, CLOCK)
    of_first, of_second = measure(first, "of the first"), measure(second, "of the second")
    assert not of_first & of_second
    for journal in (first, second, first):
        deliver(journal, ledger)  # its model fails at two contents under one identity
        journal.commit(build, CLOCK)
    assert ledger.contents.keys() >= common | of_first | of_second
    assert {epoch for epoch, _ in common | of_first} == {first.epoch}
    assert second.marks([])[0].previous == first.epoch
    assert second.marks([])[0].previous_last == 5
    first.close()
    second.close()


def test_yesterdays_image_takes_nothing_of_what_came_since(tmp_path: Path) -> None:
    ledger = LedgerModel()
    with Journal(tmp_path / "today" / "journal.db", SIZE, CLOCK) as journal:
        measure(journal, "yesterday")
        image = copied(tmp_path / "today", tmp_path / "image")
        since = measure(journal, "since")
        deliver(journal, ledger)
        reached = journal.epoch, 10
    with Journal(image, SIZE, later(1)) as restored:
        again = measure(restored, "after")
        assert not again & since
        deliver(restored, ledger)
    assert ledger.contents.keys() >= since | again
    assert ledger.high_water[reached[0]] == reached[1]
