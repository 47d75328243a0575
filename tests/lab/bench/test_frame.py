"""Missing programs of each benchmark, and the end of a run."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from host.exits import Exit
from lab.bench import agent, frame, load, outages
from lab.bench.accuracy import __main__ as accuracy
from lab.faults import __main__ as faults
from lab.programs import installed


@pytest.mark.parametrize(("main", "packages"), [
    (agent.main, "mosquitto openssl"),
    (load.main, "iproute2 nftables iperf3 ethtool"),
    (outages.main, "iproute2 nftables mosquitto"),
    (accuracy.main, "iproute2 nftables iputils-ping irtt iperf3 ethtool mosquitto openssl"),
    (faults.command, "mosquitto gcc libc6-dev"),
])  # fmt: skip
def test_everything_missing_is_named_with_one_command_before_measuring(
    main: Callable[[Sequence[str]], int],
    packages: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(installed, "ALSO_SEARCHED", ())
    assert main([]) == Exit.UNAVAILABLE
    output = capsys.readouterr()
    assert output.out == ""
    assert ": this machine lacks " in output.err
    assert output.err.endswith(f": on Debian or Ubuntu, sudo apt-get install {packages}\n")


@pytest.mark.parametrize(("missed", "status", "shown"), [
    ([], Exit.OK, "every bar met; 3 s\n"),
    (["a: [b]", "c"], Exit.FAIL, "missed: a: [b]\nmissed: c\nbars missed; 3 s\n"),
])  # fmt: skip
def test_the_end_names_each_missed_bar(
    missed: list[str], status: Exit, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert frame.conclude(frame.console(100), missed, "; 3 s") == status
    assert capsys.readouterr().out == shown
