"""Lines and exit code of every program's ``check``."""

from collections.abc import Callable

import pytest

from agent.__main__ import _dispatch as agent
from collector.__main__ import command as collector
from host.exits import Exit
from host.finding import CheckFinding, exit_code, print_finding
from peer.__main__ import command as peer


@pytest.mark.parametrize(("finding", "line", "ok"), [
    (CheckFinding("broker", "lets us in"), "ok     broker: lets us in", True),
    (CheckFinding("clock", "not synchronised", note=True), "note   clock: not synchronised", False),
    (CheckFinding("broker", "silent", Exit.UNAVAILABLE), "WRONG  broker: silent", False),
    (CheckFinding("broker", "silent", Exit.UNAVAILABLE, note=True), "WRONG  broker: silent", False),
])  # fmt: skip
def test_a_finding_is_one_line(
    finding: CheckFinding, line: str, ok: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_finding(finding) is finding.code
    assert capsys.readouterr().out == f"{line}\n"
    assert finding.ok is ok


@pytest.mark.parametrize(("codes", "amounts_to"), [
    ([], Exit.OK), ([Exit.OK, Exit.OK], Exit.OK),
    ([Exit.OK, Exit.CANNOT_CREATE, Exit.OK, Exit.UNAVAILABLE], Exit.CANNOT_CREATE),
])  # fmt: skip
def test_the_first_fault_is_the_exit_code(codes: list[Exit], amounts_to: Exit) -> None:
    assert exit_code(codes) is amounts_to


@pytest.mark.parametrize("program", [agent, collector, peer])
def test_the_help_of_each_program_names_each_code(
    program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program(["check", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for code, whose in ((0, "nothing is wrong"), (78, "settings"), (73, "files"), (69, "no answer")):
        assert whose in told.partition(f" {code}")[2]
