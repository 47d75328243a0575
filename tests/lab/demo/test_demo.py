"""Demo in real processes: its figures agree with the emulated values, and it leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "lab", "demo")
STARTED_WITHIN_S = 60
ENDED_WITHIN_S = 5


class Demo:
    """Running demo with its temporary files below ``place`` and its output in a file there."""

    def __init__(self, place: Path, *options: str) -> None:
        self.place = place / "temporary"
        self.place.mkdir()
        self._output = place / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*COMMAND, *options],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | {"TMPDIR": str(self.place)},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        self._wait_until(lambda: text in self.output)

    def wait_for_children(self, count: int) -> None:
        """Wait until so many programs run: the demo names a program when it starts it."""
        self._wait_until(lambda: len(self.children()) >= count)

    def _wait_until(self, happened: Callable[[], bool]) -> None:
        limit = time.monotonic() + STARTED_WITHIN_S
        while not happened():
            assert self.process.poll() is None, self.output
            assert time.monotonic() < limit, (self.output, self.children())
            time.sleep(0.05)

    def children(self) -> dict[int, str]:
        """Return the processes with a working directory of this demo, and their command lines."""
        processes = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return {
            int(entry.name): read_command(entry)
            for entry in processes
            if works_in(entry).startswith(str(self.place))
        }

    def assert_nothing_is_left(self) -> None:
        assert self.children() == {}
        assert list(self.place.iterdir()) == []
        for address, port in self.addresses():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trying:
                trying.bind((address, port))

    def addresses(self) -> list[tuple[str, int]]:
        ports = re.search(r"^peer +\S+:(\d+) \(RFC 9946\), (\d+) \(STAMP\)", self.output, re.MULTILINE)
        assert ports is not None, self.output
        hosts = re.findall(r"^link +([\d.]+):", self.output, re.MULTILINE)
        return [(host, int(port)) for host in ("127.0.0.1", *hosts) for port in ports.groups()]


def works_in(process: Path) -> str:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return ""


def read_command(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@contextmanager
def demo(place: Path, *options: str) -> Iterator[Demo]:
    running = Demo(place, *options)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(20)


@pytest.mark.timeout(1000)  # the check itself ends when the agents no longer measure
def test_every_figure_agrees_with_the_emulated_value(tmp_path: Path) -> None:
    with demo(tmp_path, "--check") as running:
        status = running.process.wait()
        assert status == 0, running.output
        assert re.search(r"^(\d+) of \1 figures agree", running.output, re.MULTILINE), running.output
        running.assert_nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_within_seconds(tmp_path: Path, number: signal.Signals) -> None:
    with demo(tmp_path) as running:
        running.wait_for("\nagent ")
        running.wait_for_children(8)  # broker, peer, collector, four links and an agent
        # As a terminal does it: to the whole process group.
        os.killpg(running.process.pid, number)
        assert running.process.wait(ENDED_WITHIN_S) == 0, running.output
        assert running.output.endswith("Ended; all programs and files are removed.\n")
        assert "Traceback" not in running.output
        running.assert_nothing_is_left()


def test_a_crashed_program_is_reported_and_ends_the_demo(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.wait_for("\nagent ")
        peer = next(pid for pid, command in running.children().items() if "plancher-peer" in command)
        os.kill(peer, signal.SIGKILL)
        assert running.process.wait(ENDED_WITHIN_S + 5) == 70, running.output
        assert "plancher-lab: peer was ended by signal 9; its last output:" in running.output
        running.assert_nothing_is_left()


def test_programs_end_when_the_demo_itself_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        running.wait_for("\nagent ")
        running.process.kill()
        running.process.wait()
        limit = time.monotonic() + ENDED_WITHIN_S + 5
        while left := running.children():
            assert time.monotonic() < limit, left
            time.sleep(0.05)


def test_two_demos_do_not_collide(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    with demo(tmp_path / "one") as one, demo(tmp_path / "other") as other:
        one.wait_for("\nagent ")
        other.wait_for("\nagent ")
        assert not set(one.addresses()) & set(other.addresses())
