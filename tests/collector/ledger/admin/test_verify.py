"""Verifying: what a sound ledger is, and what is told of one that is not."""

import os
import threading
from pathlib import Path

import pytest

from collector.ingest.decode import judge
from collector.ledger.admin import verify as verification
from collector.ledger.admin.backup import back_up
from collector.ledger.admin.verify import verify
from collector.ledger.write.writer import Ledger
from host.exits import Exit
from tests.collector.examples import EPOCH, NOW_US, SITE
from tests.collector.ledger.filled import batch, change, commit, fill, run, silent
from wire.messages.envelope import EpochMark


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    return fill(ledger)


def test_a_sound_ledger_is_verified_while_it_is_written(ledger: Ledger, path: Path) -> None:
    found = verify(path, NOW_US, silent)
    assert (found.problems, found.epochs, found.measurements) == ([], 1, 4)
    commit(ledger, batch(10))
    assert verify(path, NOW_US, silent).measurements == 5


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE epochs SET committed = 3", "committed says 3, the rows 4"),
        ("UPDATE epochs SET declared = 2", "declared says 2, the rows 1"),
        ("UPDATE epochs SET conflicts = 0", "conflicts says 0, the rows 1"),
        ("UPDATE epochs SET high_water = 8", "high_water says 8, the rows go up to 9"),
        ("DELETE FROM measurements WHERE seq = 9", "committed says 4, the rows 3"),
    ],
)
def test_every_counted_column_is_held_against_its_rows(
    ledger: Ledger, path: Path, statement: str, problem: str
) -> None:
    change(path, statement)
    assert f"site {SITE}, epoch {EPOCH}: {problem}" in verify(path, NOW_US, silent).problems


def test_rows_that_belong_nowhere_and_gaps_that_overlap_are_found(ledger: Ledger, path: Path) -> None:
    change(path, "UPDATE measurements SET epoch_key = 77 WHERE seq = 9")
    change(path, "UPDATE epochs SET committed = 3")
    columns = "epoch_key, first, last, reason_key, at_us, received_us, row_digest"
    change(path, f"INSERT INTO gaps ({columns}) VALUES (1, 5, 6, 1, 0, 0, 0)")
    change(path, "UPDATE epochs SET declared = 3")
    problems = verify(path, NOW_US, silent).problems
    assert {"1 measurements belong to no epoch", "1 declared gaps overlap others"} <= {*problems}


def test_a_damaged_file_is_found(ledger: Ledger, path: Path) -> None:
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096 * 8 : 4096 * 12] = os.urandom(4096 * 4)
    path.write_bytes(content)
    assert verify(path, NOW_US, silent).problems


def test_progress_is_told(ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "TELL_SECONDS", 0.0)
    monkeypatch.setattr(verification, "_INSTRUCTIONS", 100)
    told: list[str] = []
    verify(path, NOW_US, told.append)
    assert any(line.startswith("the file's integrity: ") for line in told)
    assert any(line.startswith("the accounts") for line in told)
    told.clear()
    back_up(path, path.with_name("backup"), NOW_US, told.append, replace=False)
    assert any(line.startswith("copied ") for line in told)


def test_the_command_tells_soundness_and_what_each_site_lacks(
    ledger: Ledger, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit(ledger, batch(1, site="other"))
    code, out, err = run(capsys, "verify", path)
    assert (code, err) == (Exit.OK, [])
    assert out == [
        f"ok     {path}: sound, 5 measurements",
        f"       site {SITE}: 4 missing, 1 declared lost (dropped), 1 in conflict",
        "       2 sites: 5 committed, 4 missing, 1 declared lost (dropped), 1 in conflict",
    ]
    change(path, "UPDATE epochs SET committed = 0")
    code, out, _ = run(capsys, "verify", path)
    assert code == Exit.FAIL
    assert out == [
        f"WRONG  {path}: table epochs, key 1: the row was altered",
        f"WRONG  {path}: table epochs, key 2: the row was altered",
        f"WRONG  {path}: site {SITE}, epoch {EPOCH}: committed says 0, the rows 4",
        f"WRONG  {path}: site other, epoch {EPOCH}: committed says 0, the rows 1",
    ]


def test_what_is_no_ledger_of_this_schema_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, old, text = tmp_path / "empty", tmp_path / "old.db", tmp_path / "text"
    empty.touch()
    change(old, "CREATE TABLE ledger_version (version INTEGER)")
    text.write_text("no database" * 1000)
    remedy = "this program verifies schema 1, to which its start brings a ledger"
    for file, told in (
        (tmp_path / "nowhere", "no such file"),
        (empty, f"empty: {remedy}"),
        (
            old,
            (
                "made by an unreleased 0.1 of this program, which is not upgraded: "
                "move it aside, or keep it and name another file"
            ),
        ),
    ):
        assert run(capsys, "verify", file) == (
            Exit.CANNOT_CREATE,
            [],
            [f"plancher-collector: ledger {file}: {told}"],
        )
    code, out, _ = run(capsys, "verify", text)
    assert (code, out) == (
        Exit.FAIL,
        [f"WRONG  {text}: file is not a database: this is no ledger: name another file"],
    )


def test_a_writer_and_a_verification_do_not_wait_for_each_other(ledger: Ledger, path: Path) -> None:
    """A verification reads the moment it began at, however much is committed meanwhile."""
    entered, leave = threading.Event(), threading.Event()
    told: list[int] = []

    def tell(_text: str) -> None:
        if not entered.is_set():
            entered.set()
            leave.wait(20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "TELL_SECONDS", 0.0)
        patch.setattr(verification, "_INSTRUCTIONS", 1)
        reader = threading.Thread(target=lambda: told.append(verify(path, NOW_US, tell).measurements))
        reader.start()
        assert entered.wait(20)
        commit(ledger, batch(10))
        ledger.commit([judge(batch(11))])
        leave.set()
        reader.join(20)
    assert told == [4]


def test_an_epoch_that_never_came_is_no_fault_of_the_ledger(ledger: Ledger, path: Path) -> None:
    commit(ledger, batch(marks=(EpochMark(epoch=EPOCH, high_water=9, previous="a" * 16, previous_last=40),)))
    assert verify(path, NOW_US, silent).problems == []
