"""Command ``plancher-lab soak``."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from host.exits import Exit
from lab.__main__ import command
from tests.processes import wait_until
from tests.servers import require

SOAK = (str(Path(sys.executable).with_name("plancher-lab")), "soak")


def descendants_of(session: object) -> list[str]:
    """Return the command lines of running processes of this test's own soak."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if f"SOAKED_BY={session}".encode() in environment and command:
                found.append(command)
    return found


def test_a_short_soak_prints_its_account_and_leaves_nothing_behind(tmp_path: Path) -> None:
    require("mosquitto")
    surroundings = os.environ | {"SOAKED_BY": str(os.getpid()), "TMPDIR": str(tmp_path)}
    command = (*SOAK, "--minutes", "0.05", "--seed", "4")
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the account closes" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: descendants_of(os.getpid()) == [], "nothing is left", 10)


def test_ctrl_c_twice_ends_it_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    require("mosquitto")
    surroundings = os.environ | {"SOAKED_BY": f"{os.getpid()}c", "TMPDIR": str(tmp_path)}
    log = tmp_path / "soak.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            (*SOAK, "--minutes", "5"), env=surroundings, stdout=output, stderr=output, start_new_session=True
        )
    wait_until(
        lambda: bool(re.search(r"^ +\d+ s ", log.read_text(), re.MULTILINE)), "a fault was printed", 60
    )
    process.send_signal(signal.SIGINT)
    wait_until(lambda: "kill -9" in log.read_text(), "the faults end", 30)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130, log.read_text()
    assert log.read_text().splitlines()[-1] in (
        "ended; all programs and files are removed",
        "the account closes",
    )
    assert [file.name for file in tmp_path.iterdir()] == ["soak.log"]
    wait_until(lambda: descendants_of(f"{os.getpid()}c") == [], "nothing is left", 10)


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "long"])
def test_a_soak_of_no_or_unlimited_time_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(["soak", f"--minutes={minutes}"])
    assert ended.value.code == Exit.USAGE
    assert "expected a number of minutes above 0, at most 10080" in capsys.readouterr().err
