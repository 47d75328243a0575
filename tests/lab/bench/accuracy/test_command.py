"""Command line of the benchmark."""

import subprocess
import sys
from pathlib import Path

import pytest

from host.exits import Exit
from lab.bench.accuracy import __main__ as command
from lab.bench.accuracy import report
from lab.bench.accuracy.part import Part
from lab.bench.accuracy.parts import PARTS
from lab.programs import installed

SAMPLE = Part("sample", "Does it work?", "tests.lab.bench.accuracy.parts", 1, {}, alone=False)


@pytest.fixture(autouse=True)
def _one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PARTS", (SAMPLE,))
    monkeypatch.setattr(command, "named", lambda name: SAMPLE if name == "sample" else None)
    monkeypatch.setattr(command.requirements, "lacking", installed.lacking)


@pytest.mark.parametrize(("more", "status"), [((), Exit.OK), (("--full",), Exit.FAIL)])
def test_the_exit_status_says_whether_every_bar_was_met(
    tmp_path: Path, more: tuple[str, ...], status: Exit, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "accuracy.json"
    assert command.main(("--result", str(path), *more)) == status
    printed = capsys.readouterr().out
    assert "8.40 (8.30 to 8.60, n=3)" in printed
    assert ("missed: sample: within 1 %" in printed) is bool(more)
    assert [one.name for one in report.load(path).parts] == ["sample"]


def test_an_unknown_part_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(("--only", "rttt"))
    assert caught.value.code == Exit.USAGE
    assert "there is no part 'rttt'; the parts are sample" in capsys.readouterr().err


def test_list_names_every_part_there_is() -> None:
    listed = subprocess.run(
        [sys.executable, "-m", "lab.bench.accuracy", "--list"], capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in listed.stdout.splitlines()] == [part.name for part in PARTS]
