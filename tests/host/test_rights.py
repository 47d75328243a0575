"""Rights of programs that root starts: planted links, and the owner of what is written."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from collector.ledger.write.writer import Ledger
from host import atomic_write, rights
from host.lock import Lock, is_held
from host.settings import SettingsError
from outbox.journal import heartbeat
from tests.outbox.journalled import CLOCK

USER, GROUP = 12345, 12346
SECRET = "root:$6$salt$hash:19000:0:99999:7:::\n"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root alone becomes somebody else")


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of root outside the user's folder, as /etc/shadow is."""
    path = tmp_path / "shadow"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the service's user."""
    path = tmp_path / "state"
    path.mkdir()
    os.chown(path, USER, GROUP)
    return path


def intact(victim: Path) -> bool:
    found = victim.stat()
    return (
        victim.read_text() == SECRET and found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == 0o600
    )


def test_the_lock_the_heartbeat_and_small_files_follow_no_link(tmp_path: Path, victim: Path) -> None:
    for name in ("a.lock", "a.json", "a.json.new", "a-heartbeat"):
        (tmp_path / name).symlink_to(victim)
    with pytest.raises(OSError, match="a link: move it away"):
        Lock(tmp_path / "a")
    with pytest.raises(OSError, match="a link: move it away"):
        heartbeat.write(tmp_path / "a-heartbeat", heartbeat.Heartbeat(CLOCK))
    atomic_write.replace(tmp_path / "a.json", b"{}", durably=True)
    assert not is_held(tmp_path / "a")
    assert not (tmp_path / "a.json").is_symlink()
    assert intact(victim)


def test_a_second_name_of_another_file_is_not_opened(tmp_path: Path, victim: Path) -> None:
    os.link(victim, tmp_path / "a.lock")
    os.link(victim, tmp_path / "a.json.new")
    with pytest.raises(OSError, match="not a file with a single name"):
        Lock(tmp_path / "a")
    atomic_write.replace(tmp_path / "a.json", b"{}", durably=True)
    assert intact(victim)


def test_a_pipe_in_the_place_of_a_file_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.lock")
    with pytest.raises(OSError, match="not a file with a single name"):
        Lock(tmp_path / "a")


@as_root
def test_the_first_part_of_a_path_that_is_not_roots_decides(tmp_path: Path, folder: Path) -> None:
    (folder / "deep").mkdir()
    (tmp_path / "way").symlink_to("state/deep")
    (folder / "out").symlink_to("/etc")
    assert rights.owner_of(tmp_path / "own.db") is None
    for path in (
        folder / "a.db",
        folder / "deep" / "a.db",
        tmp_path / "way" / "a.db",
        folder / "out" / "a.db",
    ):
        assert rights.owner_of(path) == (USER, GROUP)
    assert rights.planted_link(tmp_path / "way" / "a.db") is None
    os.chown(folder / "out", USER, GROUP, follow_symlinks=False)
    assert rights.planted_link(folder / "out" / "a.db") == folder / "out"


@as_root
def test_a_folder_of_root_in_which_anybody_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(SettingsError, match=f"chmod o-w {tmp_path}"):
        rights.become_owner(tmp_path / "a.db")
    tmp_path.chmod(0o1777)
    assert rights.owner_of(tmp_path / "a.db") is None


@as_root
def test_the_owner_writes_below_its_folder_only_and_still_reads_what_root_may(
    folder: Path, victim: Path
) -> None:
    code = """
import os, sys
from pathlib import Path
from host import rights
folder, victim = map(Path, sys.argv[1:])
rights.become_owner(folder / "a.db")
(folder / "made").write_text("")
print(os.getresuid(), os.getresgid(), 12346 in os.getgroups(), len(victim.read_text()) > 0)
for attempt in (lambda: victim.write_text(""), lambda: os.chown(victim, 12345, 12346), lambda: os.setuid(0)):
    try:
        attempt()
    except OSError as error:
        print(error.strerror)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, folder, victim], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [
        "(12345, 12345, 12345) (12346, 12346, 12346) True True",
        "Permission denied",
        "Operation not permitted",
        "Operation not permitted",
    ]
    made = (folder / "made").stat()
    assert (made.st_uid, made.st_gid) == (USER, GROUP)
    assert intact(victim)


AGENT = """
site: S1
peer: {{key: sixteen-bytes-or-more}}
journal: {{path: {folder}/journal.db}}
runtime_directory: {folder}/run
"""
PLANTED = (
    *("ledger.db.lock", "ledger.db-wal", "ledger.db-shm", "ledger.db.restoring"),
    *("journal.db.lock", "journal.db-heartbeat", "run/status.json.new", "reachability.json.new"),
)


@as_root
@pytest.mark.parametrize(
    "command", ["collector run", "collector restore", "agent measure", "agent run", "collector pki"]
)
def test_a_command_of_root_harms_no_file_of_root_through_planted_links(
    command: str, tmp_path: Path, folder: Path, victim: Path
) -> None:
    (folder / "run").mkdir()
    for name in PLANTED:
        (folder / name).symlink_to(victim)
    for part in (folder / "run", *(folder / name for name in PLANTED)):
        os.chown(part, USER, GROUP, follow_symlinks=False)
    (tmp_path / "agent.yaml").write_text(AGENT.format(folder=folder))
    (tmp_path / "sites.csv").write_text("site_id,name\nS1,One\n")
    (tmp_path / "collector.yaml").write_text(
        f"inventory: {tmp_path}/sites.csv\nledger: {{path: {folder}/ledger.db}}\nweb: {{port: 1}}\n"
    )
    Ledger(tmp_path / "backup.db").close()
    program = command.split()[0]
    arguments = {
        "collector run": ["run", tmp_path / "collector.yaml"],
        "collector restore": ["ledger", "restore", folder / "ledger.db", tmp_path / "backup.db"],
        "collector pki": ["pki", folder],
        "agent measure": ["measure", tmp_path / "agent.yaml", "--probe", "stamp"],
        "agent run": ["run", tmp_path / "agent.yaml"],
    }[command]
    with subprocess.Popen([sys.executable, "-m", program, *arguments], cwd=Path.cwd()) as running:
        try:
            running.wait(timeout=15)
        except subprocess.TimeoutExpired:
            running.terminate()
    assert running.returncode not in (70, None)
    assert intact(victim)
    strange = [path for path in folder.rglob("*") if path.lstat().st_uid != USER]
    assert not strange
