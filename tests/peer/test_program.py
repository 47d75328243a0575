"""The program as a person starts it: commands, exit codes, signals."""

import asyncio
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.udpstp_client import run_load
from host.exits import Exit
from peer.__main__ import command
from wire.records import Direction
from wire.udpstp.load import Ending


def free_ports() -> tuple[int, int]:
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
def ports() -> tuple[int, int]:
    return free_ports()


@pytest.fixture
def file(tmp_path: Path, ports: tuple[int, int]) -> Path:
    path = tmp_path / "peer.yaml"
    path.write_text(
        f"keys: [{{id: 3, key: hidden}}]\nudpstp: {{port: {ports[0]}}}\nstamp: {{port: {ports[1]}}}\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def running(file: Path) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "peer", "run", str(file)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert "serving load tests on 127.0.0.1" in process.stderr.readline()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def test_check_tells_that_all_is_well(
    file: Path, ports: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["check", str(file)]) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "ok     settings and 1 key",
        f"ok     127.0.0.1: load tests on port {ports[0]}, STAMP on port {ports[1]}",
    ]


@pytest.mark.parametrize(("which", "name"), [(0, "udpstp"), (1, "stamp")])
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_port_that_is_taken_is_named(
    file: Path, ports: tuple[int, int], capsys: pytest.CaptureFixture[str], which: int, name: str, verb: str
) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", ports[which]))
        assert command([verb, str(file)]) == Exit.UNAVAILABLE
    told = capsys.readouterr()
    wanted = (
        f"{name}.port: 127.0.0.1 port {ports[which]}: Address already in use: "
        "choose another host or port, or stop what holds it"
    )
    assert wanted in told.out + told.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(running: "subprocess.Popen[str]", number: signal.Signals) -> None:
    running.send_signal(number)
    _, told = running.communicate(timeout=10)
    assert (running.returncode, told) == (0, "")


def test_it_serves_a_test_and_logs_one_line_without_key_or_address(
    running: "subprocess.Popen[str]", ports: tuple[int, int]
) -> None:
    report = asyncio.run(
        run_load(
            "127.0.0.1", ports[0], key_id=3, secret=b"hidden", direction=Direction.UP, row=2, duration_s=1
        )
    )
    assert report.ending is Ending.COMPLETED
    assert report.received_packets == report.sent_packets
    running.terminate()
    _, told = running.communicate(timeout=10)
    assert told.count("\n") == 1
    assert f"session={report.session} key=3 direction=up row=2" in told
    assert "hidden" not in told
    assert "127.0.0.1" not in told


def test_a_peer_killed_in_the_middle_is_noticed_within_four_seconds(
    running: "subprocess.Popen[str]", ports: tuple[int, int]
) -> None:
    async def scenario() -> tuple[Ending, float]:
        under_way = asyncio.Event()
        test = asyncio.ensure_future(
            run_load(
                "127.0.0.1",
                ports[0],
                key_id=3,
                secret=b"hidden",
                direction=Direction.DOWN,
                row=2,
                duration_s=30,
                progress=lambda _: under_way.set(),
            )
        )
        await asyncio.wait_for(under_way.wait(), 10)
        running.kill()
        killed = time.monotonic()
        return (await test).ending, time.monotonic() - killed

    ending, seconds = asyncio.run(scenario())
    assert ending is Ending.WATCHDOG
    assert 2.5 < seconds < 10
