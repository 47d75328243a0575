import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.exc import DatabaseError, OperationalError

from collector.ingest.queue import Intake
from collector.ledger.write import writer as module
from collector.ledger.write.commit_result import CommitResult, MessageResult
from collector.ledger.write.writer import Ledger, Writer
from collector.model.message import Arrival, Judged
from tests.collector.examples import NOW_US, SITE, arrival, stamp
from wire.messages.envelope import Reason

POISON = arrival(stamp(2))
THIRD = arrival(stamp(3))


class Choking(Ledger):
    """A ledger that one message makes fail, whichever group it is in."""

    def commit(self, group: Sequence[Judged]) -> CommitResult:
        if any(message.arrival == POISON and not is_refusal(message) for message in group):
            raise OverflowError("too large a number")
        return super().commit(group)


FULL = OperationalError("INSERT secret", {"secret": 1}, sqlite3.OperationalError("database or disk is full"))
DAMAGED = DatabaseError("SELECT secret", {}, sqlite3.DatabaseError("database disk image is malformed"))


class Unpruned(Ledger):
    """A ledger from which nothing can be dropped at the first looks, nor at the last."""

    looks = 0

    def prune_payloads(self, before_us: int) -> int:
        self.looks += 1
        if self.looks == 4:
            return super().prune_payloads(before_us)
        raise OperationalError("DELETE", {}, sqlite3.OperationalError("database is locked"))


class FullAfterTwo(Choking):
    """A ledger that chokes on a message, and whose disk is full when the third message comes alone."""

    def commit(self, group: Sequence[Judged]) -> CommitResult:
        if [message.arrival for message in group] == [THIRD]:
            raise FULL
        return super().commit(group)


def is_refusal(message: Judged) -> bool:
    return hasattr(message, "fault")


def writer_of(
    ledger: Ledger, intake: Intake, committed: list[MessageResult], uncommitted: list[int]
) -> Writer:
    return Writer(
        ledger,
        intake.take_decoded,
        lambda result, _seconds: committed.extend(result.messages),
        on_uncommitted=uncommitted.append,
        keep_payloads_s=0,
        comparison_grace_s=3600,
    )


def work(ledger: Ledger, *arrivals: Arrival) -> tuple[Writer, list[MessageResult], list[int]]:
    committed: list[MessageResult] = []
    uncommitted: list[int] = []
    intake = Intake(100, 1_000_000)
    writer = writer_of(ledger, intake, committed, uncommitted)
    for one in arrivals:
        assert intake.offer(one) is None
    intake.close()
    writer.start()
    writer.join(20)
    assert not writer.is_alive()
    ledger.close()
    return writer, committed, uncommitted


def statuses(committed: list[MessageResult]) -> list[list[str]]:
    return [[line.status.value for line in one.receipt.lines] for one in committed if one.receipt]


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def test_one_group_one_commit_a_receipt_each(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    writer, committed, _ = work(Ledger(path), arrival(stamp(1)), arrival(stamp(2)), Arrival("x", b"", NOW_US))
    assert statuses(committed) == [["committed"], ["committed"]]
    assert [one.rejected for one in committed] == [(), (Reason.WRONG_TOPIC,), ()]
    assert (writer.problem, count(path, "measurements"), count(path, "rejects")) == (None, 2, 1)


def test_payloads_beyond_their_time_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    work(Ledger(path), arrival(stamp(1)))
    assert (count(path, "batches"), count(path, "payloads")) == (1, 0)


def test_a_message_that_cannot_be_stored_is_refused_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    _, committed, _ = work(Choking(path), arrival(stamp(1)), POISON, arrival(stamp(3)))
    assert statuses(committed) == [["committed"], [], ["committed"]]
    refused = committed[1].receipt
    assert refused is not None
    assert (refused.sender, refused.reason) == (SITE, Reason.STORAGE)
    assert refused.detail == "the collector cannot store it (OverflowError): its fault, not the site's"
    assert (count(path, "measurements"), count(path, "rejects")) == (2, 1)


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (FULL, "database or disk is full: make room on its file system"),
        (DAMAGED, "database disk image is malformed: the file is damaged: restore it from a backup"),
    ],
)
def test_nothing_has_a_receipt_that_the_ledger_did_not_take(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: DatabaseError,
    problem: str,
) -> None:
    def fail(_group: object) -> CommitResult:
        raise error

    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    ledger = Ledger(tmp_path / "ledger.db")
    monkeypatch.setattr(ledger, "commit", fail)
    writer, committed, uncommitted = work(ledger, arrival(stamp(1)), arrival(stamp(2)))
    assert (committed, sum(uncommitted)) == ([], 2)
    assert writer.problem is not None
    assert writer.problem.startswith(problem)
    assert "secret" not in caplog.text


def test_what_was_committed_before_the_disk_was_full_is_receipted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    path = tmp_path / "ledger.db"
    _, committed, uncommitted = work(FullAfterTwo(path), arrival(stamp(1)), POISON, THIRD)
    assert (statuses(committed), sum(uncommitted)) == ([["committed"], []], 1)
    assert len(committed[0].observations) == count(path, "measurements") == 1


def test_what_cannot_be_pruned_is_told_once_and_again_after_it_could(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "PRUNE_SECONDS", 0.0)
    ledger = Unpruned(tmp_path / "ledger.db")
    writer = writer_of(ledger, Intake(100, 1_000_000), [], [])
    warned = []
    for _ in range(6):
        writer._prune()
        warned.append(len(caplog.records))
    ledger.close()
    assert warned == [1, 1, 1, 1, 2, 2]
