"""Command ``plancher-lab kernel-link``. Tests that need root are skipped without it."""

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

import pytest

from host.exits import Exit
from lab.__main__ import command
from lab.links.line import DropCause
from lab.netns import names, requirements
from lab.netns.links.link import KernelLineCounters
from lab.testbed.kernel_link_command import describe
from tests.processes import wait_until
from wire.records import Direction

END_WITHIN_S = 30


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "lab", "kernel-link", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_of(process: int) -> Sequence[str]:
    return [name for name in names.present() if name.startswith(f"plancher-{process}-")]


def processes_in(namespace: str) -> str:
    return subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True).stdout


@pytest.mark.usefixtures("kernel")
def test_the_command_runs_at_the_site_and_its_status_is_the_exit_status() -> None:
    script = 'cat "$0" && ls /sys/class/net && ping -c 3 -i 0.01 -q 10.90.2.2 && exit 7'
    with start("--down", "8.4M", "--up", "8.4M", "--", "sh", "-c", script, "{agent}") as process:
        output, errors = process.communicate(timeout=END_WITHIN_S)
    assert process.returncode == 7, errors
    assert '"interface": "line"' in output
    assert "line\nlo\n" in output
    assert errors == ("plancher-lab: down 3 packets (252 B) out\nplancher-lab: up   3 packets (252 B) out\n")
    assert left_of(process.pid) == []


@pytest.mark.usefixtures("kernel")
def test_measured_delays_are_reported() -> None:
    ping = ("ping", "-c", "5", "-i", "0.01", "-q", "10.90.2.2")
    with start("--delay", "20ms,0", "--jitter", "2ms,0", "--reorder", "1%,0", "--", *ping) as process:
        output, errors = process.communicate(timeout=END_WITHIN_S)
    assert "5 received" in output
    lines = errors.splitlines()
    assert [line.split()[1] for line in lines] == ["down", "delay:", "up"]
    assert re.fullmatch(
        r"plancher-lab:      delay: 5 packets, min 2\d\.\d{3} ms, p50 .* ms, p99 .* ms, max .* ms", lines[1]
    )


@pytest.mark.usefixtures("kernel")
def test_the_agent_settings_are_valid() -> None:
    agent = (sys.executable, "-m", "agent", "check", "{agent}")
    with start("--", *agent) as process:
        output, _ = process.communicate(timeout=END_WITHIN_S)
    assert "10.90.2.2" in output


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_a_command_it_waits_and_prints_how_to_enter(number: signal.Signals) -> None:
    with start("--loss", "1%") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        site = next(name for name in left_of(process.pid) if name.endswith("site"))
        process.send_signal(number)
        output, errors = process.communicate(timeout=END_WITHIN_S)
    assert lines[0] == "kernel link up: peer at 10.90.2.2, ports 24601, 8862; Ctrl-C ends it\n"
    assert lines[1] == f"to enter:   ip netns exec {site} sh\n"
    assert lines[2].startswith(f"to measure: ip netns exec {site} ")
    assert (process.returncode, errors) == (Exit.OK, "")
    assert output == "down 0 packets (0 B) out\nup   0 packets (0 B) out\n"
    assert left_of(process.pid) == []


@pytest.mark.usefixtures("kernel")
def test_sigterm_is_passed_on_to_the_command() -> None:
    with start("--", "sh", "-c", "echo up; exec sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        process.terminate()
        process.communicate(timeout=END_WITHIN_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert left_of(process.pid) == []


@pytest.mark.usefixtures("kernel")
def test_a_killed_link_ends_its_peer_and_the_next_run_removes_the_rest() -> None:
    with start("--", "sh", "-c", "echo up; exec sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        left = left_of(process.pid)
        assert all(processes_in(name) for name in left if not name.endswith("router"))
        process.kill()
    wait_until(lambda: not any(processes_in(name) for name in left), "peer and command end")
    files = list(Path(gettempdir()).glob(f"plancher-{process.pid}-*"))
    assert len(files) == 1
    with start("--", "true") as following:
        following.communicate(timeout=END_WITHIN_S)
    assert following.returncode == 0
    assert left_of(process.pid) == []
    assert not files[0].exists()


@pytest.mark.parametrize(("options", "message"), [
    (("--policer", "--up", "8M"), "down: a policer needs a rate"),
    (("--up", "8M", "--queue", "1kB"), "up: the queue needs room for at least 1500 B, not 1000 B"),
    (("--", "no-such-program"), "cannot run no-such-program at the site: this machine has no such program"),
])  # fmt: skip
def test_impossible_settings_are_reported(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(("kernel-link", *options)) == Exit.USAGE
    assert capsys.readouterr().err == f"plancher-lab: configuration: {message}\n"


def test_a_missing_requirement_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(requirements, "lacking", lambda: ("root", "the program nft"))
    assert command(("kernel-link",)) == Exit.UNAVAILABLE
    assert capsys.readouterr().err == (
        "plancher-lab: cannot set up the link: a kernel link needs root; the program nft\n"
    )


def test_packet_counters_are_described() -> None:
    dropped = Counter({DropCause.LOSS: 3, DropCause.QUEUE_FULL: 4})
    counters = KernelLineCounters(100, 150_000, 0, 2, dropped)
    assert describe(Direction.UP, counters) == (
        "up   100 packets (150000 B) out, 3 loss, 4 queue_full, 2 duplicated"
    )
