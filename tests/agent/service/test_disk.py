"""The resident agent where a disk takes nothing, its journal is held, or its directory cannot be written."""

from pathlib import Path
from typing import Any

import pytest

from agent.service import status_file
from outbox.journal import file as journal_file
from outbox.journal.file import JournalError
from tests.agent.fakes import DAILY, FakeProbe
from tests.agent.service.test_service import live, records, settings


def test_on_a_bad_disk_the_agent_measures_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, probe = settings(tmp_path), FakeProbe(asked=[DAILY])
    opened = journal_file.open_store
    faults = [journal_file.DiskTroubleError("/var/journal.db: Read-only file system")]

    def open_store(*arguments: Any) -> object:
        if faults:
            raise faults[0]
        return opened(*arguments)

    monkeypatch.setattr(journal_file, "open_store", open_store)

    async def measured_and_told() -> bool:
        status = status_file.read(Path(chosen.runtime_directory))
        return bool(
            probe.started
            and probe.at_once == 0
            and status
            and status.journal_problem == "/var/journal.db: Read-only file system"
            and not faults.clear()  # the disk works from now on: it is tried once more at the end
        )

    live(chosen, probe, measured_and_told)
    assert [record.schedule for record in records(chosen)] == ["stamp-dscp-46"]


def test_without_a_journal_the_agent_ends_and_says_why(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    (tmp_path / "state").write_text("a file")

    async def never() -> bool:
        return False

    with pytest.raises(JournalError, match="give a directory this user may write in"):
        live(chosen, FakeProbe(), never)


def test_a_runtime_directory_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen, probe = settings(tmp_path), FakeProbe(asked=[DAILY])
    (tmp_path / "run").write_text("a file")

    async def measured() -> bool:
        return bool(probe.started) and "the status file cannot be written" in caplog.text

    live(chosen, probe, measured)
    assert len(records(chosen)) == 1
