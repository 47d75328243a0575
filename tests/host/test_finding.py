"""What every program's ``check`` says of one thing, and with what it ends."""

from collections.abc import Callable

import pytest

from agent.__main__ import _dispatch as agent
from collector.__main__ import command as collector
from host.exits import Exit
from host.finding import Finding, amount_to, tell
from peer.__main__ import command as peer


@pytest.mark.parametrize(
    ("finding", "line", "ok"),
    [
        (Finding("broker", "lets us in"), "ok     broker: lets us in", True),
        (Finding("clock", "not synchronised", note=True), "note   clock: not synchronised", False),
        (Finding("broker", "silent", Exit.UNAVAILABLE), "WRONG  broker: silent", False),
        (Finding("broker", "silent", Exit.UNAVAILABLE, note=True), "WRONG  broker: silent", False),
    ],
)
def test_a_finding_is_one_line(
    finding: Finding, line: str, ok: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tell(finding) is finding.code
    assert capsys.readouterr().out == f"{line}\n"
    assert finding.ok is ok


@pytest.mark.parametrize(
    ("codes", "amounts_to"),
    [
        ([], Exit.OK),
        ([Exit.OK, Exit.OK], Exit.OK),
        ([Exit.OK, Exit.CANNOT_CREATE, Exit.OK, Exit.UNAVAILABLE], Exit.CANNOT_CREATE),
    ],
)
def test_the_first_that_is_wrong_decides(codes: list[Exit], amounts_to: Exit) -> None:
    assert amount_to(codes) is amounts_to


@pytest.mark.parametrize("program", [agent, collector, peer])
def test_the_help_of_each_program_names_each_code(
    program: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        program(["check", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for code, whose in (
        (0, "nothing is wrong"),
        (78, "settings"),
        (73, "files"),
        (69, "what does not answer"),
    ):
        assert whose in told.partition(f" {code}")[2]
