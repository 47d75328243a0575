"""Notes beside a journal."""

from pathlib import Path

import pytest

from collector.ledger.write.transaction import content_digest
from lab.faults.accounts import notes
from lab.faults.accounts.notes import Notes
from lab.faults.processes import source
from tests.outbox.journalled import CLOCK
from wire.messages import envelope as messages
from wire.records import Measurement


def train(seq: int) -> Measurement:
    return source.train("e1", seq, serial=f"1-{seq}", start=CLOCK)


def test_what_is_noted_is_read_back(tmp_path: Path) -> None:
    kept = Notes(tmp_path / "notes")
    for seq in (1, 2):
        kept.tried(train(seq))
    kept.committed(train(1))
    kept.let_go([("e1", 1)])
    kept.close()
    found = notes.read(tmp_path / "notes", "SITE1")
    assert {one.identity.seq for one in found.tried} == {1, 2}
    assert {one.identity.seq for one in found.committed} == {1} == {at.seq for at in found.let_go}


def test_the_digest_is_the_ledgers() -> None:
    raw = messages.encode(train(1))
    assert notes.digest_of(raw) == content_digest(raw)


@pytest.mark.parametrize("torn", [b"", b"! e1", b"! e1 2 00ff"])
def test_a_line_torn_by_a_kill_is_no_note(torn: bytes) -> None:
    found = notes.parse(b"? e1 1 aa\n! e1 1 aa\n" + torn, "SITE1")
    assert {one.identity.seq for one in found.committed} == {1}


def test_a_site_that_never_began_has_noted_nothing(tmp_path: Path) -> None:
    assert notes.read(tmp_path / "none", "SITE1") == notes.Noted()
