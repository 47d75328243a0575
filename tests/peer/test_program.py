"""Commands of the peer: output, exit codes and signals."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from functools import partial
from pathlib import Path

import pytest

from agent.load.udpstp_client import run_load
from host.exits import Exit
from host.settings import SettingsError
from outbox.journal.journal import Journal
from peer.__main__ import command
from tests.brokers import mosquitto
from tests.outbox.journalled import CLOCK
from tests.peer.examples import peer_test
from tests.processes import free_port
from wire.records import Direction
from wire.udpstp.load import Ending, LoadReport

pytestmark = pytest.mark.usefixtures("log_as_before")


@pytest.fixture
def ports() -> tuple[int, int]:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def file(tmp_path: Path, ports: tuple[int, int]) -> Path:
    path = tmp_path / "peer.yaml"
    path.write_text(
        f"keys: [{{id: 3, key: hidden-of-16-byte}}]\n"
        f"udpstp: {{port: {ports[0]}}}\nstamp: {{port: {ports[1]}}}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def running(file: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "peer", "run", str(file)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert "serving load tests on 127.0.0.1" in process.stderr.readline()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def test_check_finds_everything_in_order(
    file: Path, ports: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["check", str(file)]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        f"ok     settings: {file}: peer, 1 key",
        f"ok     ports: 127.0.0.1: load tests on port {ports[0]}, STAMP on port {ports[1]}",
        "note   broker: none: load tests are kept in the log only, one line each",
    ]


def with_broker(file: Path, port: int, more: str = "") -> Path:
    """Add a broker at ``port`` to the settings; return the path of the test records."""
    kept = file.with_name("tests.db")
    added = f"name: pop-1\nbroker: {{port: {port}{more}}}\ntests: {{path: {kept}}}\n"
    file.write_text(file.read_text() + added)
    return kept


def checked(file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Run ``check``; return its exit status, and its lines about file and broker."""
    code = command(["check", str(file)])
    return code, capsys.readouterr().out.splitlines()[2:]


def test_check_of_file_and_broker(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mosquitto(file.parent) as broker:
        kept = with_broker(file, broker.port)
        accepted = f"ok     broker: 127.0.0.1:{broker.port}: connected"
        text = f"ok     tests: {kept}: does not exist yet; it will be created"
        assert checked(file, capsys) == (Exit.OK, [text, accepted])
        assert not kept.exists()
        with Journal(kept, 10**8, CLOCK) as journal:
            for number in range(2):
                journal.commit(partial(peer_test, number), CLOCK)
        text = f"ok     tests: {kept}: 2 kept, 2 of them without a receipt"
        assert checked(file, capsys) == (Exit.OK, [text, accepted])


def test_check_of_a_broker_that_does_not_run(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    with_broker(file, port)
    code, text = checked(file, capsys)
    why = "nothing listens there: is the broker running, and is the port right?"
    assert (code, text[1]) == (Exit.UNAVAILABLE, f"WRONG  broker: 127.0.0.1:{port}: {why}")


def test_check_of_a_broker_that_cannot_be_used(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_broker(file, 1883, ", password_file: nowhere")
    wanted = "broker.password_file: of no use without broker.username"
    code, text = checked(file, capsys)
    assert (code, text[1]) == (Exit.CONFIGURATION, f"WRONG  broker: {wanted}")
    assert command(["run", str(file)]) == Exit.CONFIGURATION
    assert capsys.readouterr().err == f"plancher-peer: {file}: {wanted}\n"


@pytest.mark.parametrize(("content", "code", "text"), [
    (b"no database, " * 800, Exit.UNAVAILABLE,
     "note   tests: {kept}: cannot be read (file is not a database): the peer sets aside a damaged file"),
    (None, Exit.CANNOT_CREATE, "WRONG  tests: {kept} is a directory: give tests.path a file in it"),
])  # fmt: skip
def test_check_of_a_file_that_cannot_be_used(
    file: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, code: Exit, text: str
) -> None:
    kept = with_broker(file, free_port())
    if content is None:
        kept.mkdir()
    else:
        kept.write_bytes(content)
    found, lines = checked(file, capsys)
    assert (found, lines[0]) == (code, text.format(kept=kept))


def test_check_of_a_folder_in_which_no_file_can_be_created(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = with_broker(file, free_port())
    file.write_text(file.read_text().replace(str(kept), f"{file}/deep/tests.db"))
    wanted = f"WRONG  tests: {file} cannot be written: give tests.path a directory this user may write in"
    assert checked(file, capsys)[1][0] == wanted


@pytest.mark.parametrize(("setting", "how"), [
    ("keys_file: {none}",
     'keys_file: {none}: no such file: make it with a first key: echo "1 $(openssl rand -hex 24)" > {none}'),
    ("keys: [{{id: 1, key_file: {none}}}]",
     "keys[0].key_file: {none}: no such file: make one: openssl rand -hex 24 > {none}"),
])  # fmt: skip
def test_a_missing_key_file_is_reported_with_the_command_that_makes_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], setting: str, how: str
) -> None:
    path, none = tmp_path / "peer.yaml", tmp_path / "none.key"
    path.write_text(setting.format(none=none))
    text = f"{path}: {how.format(none=none)} (and chmod 600)"
    assert command(["check", str(path)]) == Exit.CANNOT_CREATE
    assert capsys.readouterr() == (f"WRONG  settings: {text}\n", "")
    with pytest.raises(SettingsError) as caught:
        command(["run", str(path)])
    assert str(caught.value) == text


@pytest.mark.parametrize(("which", "name"), [(0, "udpstp"), (1, "stamp")])
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_taken_port_is_named(
    file: Path, ports: tuple[int, int], capsys: pytest.CaptureFixture[str], which: int, name: str, verb: str
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", ports[which]))
        assert command([verb, str(file)]) == Exit.UNAVAILABLE
    text = capsys.readouterr()
    wanted = (
        f"{name}.port: 127.0.0.1 port {ports[which]}: in use, by this peer if it is running: "
        "else choose another host or port, or stop what uses it"
    )
    assert wanted in text.out + text.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_peer_in_order(running: "subprocess.Popen[str]", number: signal.Signals) -> None:
    running.send_signal(number)
    _, text = running.communicate(timeout=10)
    assert running.returncode == 0
    assert text.endswith(f"info peer: stopped by {number.name}\n")
    assert text.count("\n") == 1


def load(port: int, direction: Direction, seconds: int, **more: object) -> Awaitable[LoadReport]:
    return run_load(
        "127.0.0.1", port, key_id=3, secret=b"hidden-of-16-byte",
        direction=direction, row=2, duration_s=seconds, **more
    )  # fmt: skip


async def test_a_test_is_logged_in_one_line_without_key_or_address(
    running: "subprocess.Popen[str]", ports: tuple[int, int]
) -> None:
    report = await load(ports[0], Direction.UP, 1)
    assert report.ending is Ending.COMPLETED
    assert report.received_packets == report.sent_packets
    running.terminate()
    _, text = await asyncio.to_thread(running.communicate, timeout=10)
    assert text.count("\n") == 2  # and the line of the stop
    assert f"session={report.session} key=3 direction=up row=2" in text
    assert "hidden" not in text
    assert "127.0.0.1" not in text


async def test_a_peer_killed_in_the_middle_is_noticed_within_four_seconds(
    running: "subprocess.Popen[str]", ports: tuple[int, int]
) -> None:
    loaded = asyncio.Event()
    test = asyncio.ensure_future(load(ports[0], Direction.DOWN, 30, progress=lambda _: loaded.set()))
    await asyncio.wait_for(loaded.wait(), 10)
    running.kill()
    killed = time.monotonic()
    assert (await test).ending is Ending.WATCHDOG
    assert 2.5 < time.monotonic() - killed < 10
