"""Clock, log and command line."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from host import clock, command_line, log, units
from host.exits import Exit
from host.settings import SettingsError


def test_the_clock_reads_wall_and_boot_time_together() -> None:
    before = time.time_ns() // 1000
    reading = clock.Clock().read()
    assert before <= reading.wall_us <= time.time_ns() // 1000
    assert abs(reading.boot_us / 1e6 - time.clock_gettime(time.CLOCK_BOOTTIME)) < 5
    assert len(reading.boot_id) == 36
    assert (reading.max_error_us is not None) == reading.synchronised


def test_a_log_line_has_time_level_and_component(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.start("warning")
    logging.getLogger("agent.uplink.uplink").warning("broker gone")
    logging.getLogger("agent.uplink.uplink").info("not shown")
    stamp, rest = capsys.readouterr().err.split(" ", 1)
    assert rest == "warning agent.uplink.uplink: broker gone\n"
    assert time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")


def test_an_error_is_logged_without_a_traceback_where_none_can_be_made(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more_files(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    log.start()
    monkeypatch.setattr("traceback.print_exception", no_more_files)
    try:
        raise KeyError("lost")
    except KeyError:
        logging.getLogger("agent.part").exception("went wrong")
    assert capsys.readouterr().err.splitlines()[-2:][0].endswith("error agent.part: went wrong")


@pytest.mark.parametrize(
    ("is_journal", "line"), [(True, "<3>peer: no port\n"), (False, "Z error peer: no port\n")]
)
def test_the_journal_stamps_and_a_child_whose_lines_go_elsewhere_does_so_itself(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, is_journal: bool, line: str
) -> None:
    stream = os.fstat(sys.stderr.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{stream.st_dev}:{stream.st_ino}" if is_journal else "8:1")
    log.start()
    logging.getLogger("peer").error("no port")
    shown = capfd.readouterr().err
    assert shown.endswith(line)
    assert (shown == line) == is_journal


INTERNAL = "plancher-agent: internal error, see above: please report it\n"


@pytest.mark.parametrize(("error", "code", "told"), [
    (SettingsError("a.yaml: x"), Exit.CONFIGURATION, "a.yaml: x"),
    (KeyboardInterrupt(), Exit.INTERRUPTED, ""),
    (ZeroDivisionError(), Exit.SOFTWARE, "ZeroDivisionError"),
])  # fmt: skip
def test_an_error_becomes_an_exit_code_and_an_internal_one_never_that_of_a_verdict(
    error: BaseException, code: Exit, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(_: object) -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        command_line.run(main, "plancher-agent")
    assert caught.value.code == code
    shown = capsys.readouterr().err
    assert told in shown
    assert shown.endswith(INTERNAL) == (code is Exit.SOFTWARE)


def test_a_reader_that_stops_reading_gets_neither_traceback_nor_verdict() -> None:
    program = (
        "from host import command_line\n"
        "command_line.run(lambda _: print('x' * 1_000_000) or 0, 'plancher-agent')\n"
    )  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(30) == Exit.BROKEN_PIPE
        assert process.stderr.read() == b""


@pytest.mark.parametrize(("call", "told"), [
    (["go", "--fast"],
     "usage: plancher-x go [-h] [--far]\nplancher-x go: unrecognized arguments: --fast\n"),
    (["--fast", "go"],
     "usage: plancher-x [-h] [--version] COMMAND ...\nplancher-x: unrecognized arguments: --fast\n"),
    ([], "usage: plancher-x [-h] [--version] COMMAND ...\n"),
    ([], "    go        goes\n"),
])  # fmt: skip
def test_a_wrong_call_exits_with_the_usage_of_its_command(
    call: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = command_line.parser("plancher-x", "d")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("go", help="goes").add_argument("--far", action="store_true")
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(call)
    assert caught.value.code == Exit.USAGE
    shown = capsys.readouterr().err
    assert told == shown if call else told in shown


@pytest.mark.parametrize(("shown", "value", "text"), [
    *((units.megabits, *case) for case in
      [(8e6, "8.00"), (6.496e6, "6.50"), (99.99e6, "99.99"), (1e8, "100"), (9.41e8, "941")]),
    *((units.amount, *case) for case in [
        (0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (52_345, "52.3 kB"), (999_700, "1 MB"), (64e6, "64 MB"),
        (999_400_000, "999 MB"), (2_805_000_000, "2.81 GB"), (1_234e9, "1234 GB"),
    ]),
    *((units.duration, *case) for case in
      [(0, "<1 µs"), (1, "1 µs"), (99, "99 µs"), (100, "0.10 ms"), (20_123, "20.12 ms")]),
    *((lambda number: units.counted(number, "test"), *case) for case in
      [(0, "0 tests"), (1, "1 test"), (2, "2 tests")]),
])  # fmt: skip
def test_rates_amounts_times_and_counts_for_people(
    shown: Callable[[float], str], value: float, text: str
) -> None:
    assert shown(value) == text


def test_text_from_outside_begins_no_line_of_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log.start("warning")
    forged = "no such site\n2026-01-01T00:00:00Z error collector: forged\r\x1b[2J\u2028é"
    logging.getLogger("x").warning("receipt: %s", forged)
    try:
        raise ValueError(forged)
    except ValueError:
        logging.getLogger("x").exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith(
        r"receipt: no such site\n2026-01-01T00:00:00Z error collector: forged\r\x1b[2J\u2028é"
    )
    assert lines[1].endswith("error x: failed")
    assert all(line.startswith("    ") and line.isprintable() for line in lines[2:])


PROGRAM = """
import sys
from host import command_line
def main(arguments):
    print("measured 12 µs ─ à Besançon" * int(arguments[0]))
    return 1
command_line.run(main, "program")
"""


@pytest.mark.parametrize(("output", "code"), [
    (">&1", 1), (">/dev/full", 73), (">&-", 1), (">/dev/full 2>/dev/full", 73), (">&- 2>&-", 1),
    ("2>/dev/full", 1),
])  # fmt: skip
@pytest.mark.parametrize("times", [1, 1000])
def test_no_terminal_and_no_full_disk_is_an_internal_error(
    tmp_path: Path, output: str, code: int, times: int
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    call = f"exec {sys.executable} {tmp_path}/program.py {times} {output}"
    ascii_only = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONPATH": str(Path.cwd()),
    }
    done = subprocess.run(["sh", "-c", call], env=os.environ | ascii_only, capture_output=True, check=False)
    assert (done.returncode, b"Traceback" in done.stderr) == (code, False)
    if output == ">&1":
        assert done.stdout.startswith(rb"measured 12 \xb5s \u2500 \xe0 Besan")
