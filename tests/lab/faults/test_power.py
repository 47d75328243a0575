"""Power cuts under the real journal and ledger; that the shim sees everything, and that losses would show."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.faults.accounts.effort import Effort
from lab.faults.power import cuts, shim
from lab.faults.power.cuts import SUBJECTS, Subject
from lab.faults.power.op_log import Operation, OperationKind
from outbox.journal import gaps
from outbox.journal import salvage as journal_salvage
from outbox.journal.heartbeat import Reach
from outbox.journal.store import Store
from tests.servers import require
from wire.messages.envelope import GapReason


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require("cc")
    return shim.build(tmp_path_factory.mktemp("shim"))


def test_nothing_committed_is_lost_and_everything_starts() -> None:
    require("cc")
    told: list[str] = []
    assert cuts.run(Effort(seed=1, short=True), told.append), told
    assert len([line for line in told if "15 cuts: 0 failed starts, 0 committed" in line]) == 3


@pytest.mark.parametrize("subject", [SUBJECTS[0], SUBJECTS[2]], ids=lambda subject: subject.name)
def test_a_disk_that_forgets_its_syncs_is_found_out(
    subject: Subject, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = shim.record

    def unsynced(*arguments: object) -> list[Operation]:
        done = record(*arguments)  # type: ignore[arg-type]
        return [one for one in done if one.kind is not OperationKind.SYNCED]

    monkeypatch.setattr(shim, "record", unsynced)
    count = cuts.cut(subject, built, tmp_path, 20, 1, print)
    assert not count.clean
    assert count.findings


def test_damage_that_never_was_is_found_out(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def declare(store: Store, known: Sequence[Reach], now_us: int) -> int:
        epoch, last = store.newest_epoch()
        if epoch and last:
            gaps.declare(store.connection, epoch, last, last, GapReason.DAMAGED, now_us)
        return len(known)

    monkeypatch.setattr(journal_salvage, "declare_beyond", declare)
    count = cuts.cut(SUBJECTS[0], built, tmp_path, 10, 1, print)
    assert count.failed
    assert "declared as damaged, and nothing was" in count.findings[0]


def test_a_shim_that_misses_something_is_found_out(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = shim.record
    monkeypatch.setattr(shim, "record", lambda *arguments: record(*arguments)[:-40])
    with pytest.raises(RuntimeError, match="the shim did not see everything done to journal"):
        cuts.cut(SUBJECTS[0], built, tmp_path, 5, 1, print)


def test_a_seed_gives_the_same_cuts_again(built: Path, tmp_path: Path) -> None:
    first, second = (cuts.cut(SUBJECTS[0], built, tmp_path, 10, 3, print) for _ in range(2))
    assert (first.cuts, first.clean) == (second.cuts, second.clean) == (10, True)
    assert first.kept == second.kept > 0
