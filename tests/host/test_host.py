"""Clock, log and command line."""

import logging
import os
import subprocess
import sys
import time

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


def test_under_systemd_the_journal_stamps(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = os.fstat(sys.stderr.fileno())
    monkeypatch.setenv("JOURNAL_STREAM", f"{journal.st_dev}:{journal.st_ino}")
    log.start()
    logging.getLogger("peer").error("no port")
    assert capfd.readouterr().err == "<3>peer: no port\n"


def test_a_child_whose_lines_go_elsewhere_stamps_them_itself(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log.start()
    logging.getLogger("peer").error("no port")
    assert capfd.readouterr().err.endswith("Z error peer: no port\n")


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingsError("a.yaml: x"), Exit.CONFIGURATION), (KeyboardInterrupt(), Exit.INTERRUPTED)],
)
def test_known_errors_become_an_exit_code(error: BaseException, code: Exit) -> None:
    def main(_: object) -> int:
        raise error

    with pytest.raises(SystemExit) as caught:
        command_line.run(main, "plancher-agent")
    assert caught.value.code == code


def test_an_internal_error_never_exits_like_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    def main(_: object) -> int:
        raise ZeroDivisionError

    with pytest.raises(SystemExit) as caught:
        command_line.run(main, "plancher-agent")
    assert caught.value.code == Exit.SOFTWARE
    told = capsys.readouterr().err
    assert "ZeroDivisionError" in told
    assert told.endswith("plancher-agent: internal error, see above: please report it\n")


def test_a_reader_that_stops_reading_gets_neither_traceback_nor_verdict() -> None:
    program = (
        "from host import command_line\n"
        "def main(_):\n"
        "    print('x' * 1_000_000)\n"
        "    return 0\n"
        "command_line.run(main, 'plancher-agent')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.wait(30) == Exit.BROKEN_PIPE
        assert process.stderr.read() == b""


def test_a_wrong_call_exits_with_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command_line.parser("plancher-x", "d").parse_args(["--nonsense"])
    assert caught.value.code == Exit.USAGE
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def with_commands() -> command_line.Parser:
    parser = command_line.parser("plancher-x", "d")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("go", help="goes").add_argument("--far", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            ["go", "--fast"],
            (
                "usage: plancher-x go [-h] [--far]\n"
                "plancher-x go: unrecognized arguments: --fast\n"
            ),
        ),
        (
            ["--fast", "go"],
            (
                "usage: plancher-x [-h] [--version] COMMAND ...\n"
                "plancher-x: unrecognized arguments: --fast\n"
            ),
        ),
    ],
)  # fmt: skip
def test_a_wrong_call_shows_the_usage_of_its_command(
    call: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        with_commands().parse_args(call)
    assert (caught.value.code, capsys.readouterr().err) == (Exit.USAGE, told)


def test_a_call_without_a_command_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        with_commands().parse_args([])
    assert caught.value.code == Exit.USAGE
    shown = capsys.readouterr().err
    assert shown.startswith("usage: plancher-x [-h] [--version] COMMAND ...\n")
    assert "    go        goes\n" in shown


@pytest.mark.parametrize(
    ("rate", "text"), [(8e6, "8.00"), (6.496e6, "6.50"), (99.99e6, "99.99"), (1e8, "100"), (9.41e8, "941")]
)
def test_rates_for_people(rate: float, text: str) -> None:
    assert units.megabits(rate) == text


@pytest.mark.parametrize(
    ("byte_count", "text"),
    [
        (0, "0 B"), (999, "999 B"), (1_000, "1 kB"), (52_345, "52.3 kB"), (999_700, "1 MB"), (64e6, "64 MB"),
        (999_400_000, "999 MB"), (2_805_000_000, "2.81 GB"), (1_234e9, "1234 GB"),
    ],
)  # fmt: skip
def test_amounts_for_people(byte_count: float, text: str) -> None:
    assert units.amount(byte_count) == text


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0, "<1 µs"), (1, "1 µs"), (99, "99 µs"), (100, "0.10 ms"), (20_123, "20.12 ms")],
)
def test_times_for_people(microseconds: int, text: str) -> None:
    assert units.duration(microseconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 tests"), (1, "1 test"), (2, "2 tests")])
def test_counts_for_people(number: int, text: str) -> None:
    assert units.counted(number, "test") == text
