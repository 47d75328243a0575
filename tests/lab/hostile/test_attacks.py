"""Short forms of the attacks, and what shows that they can fail."""

import sys

import pytest

from host.exits import Exit
from lab.hostile.__main__ import command
from lab.hostile.attacks import ATTACKS
from lab.hostile.peer import testbed

pytestmark = pytest.mark.usefixtures("log_as_before")


def run(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and output of the short form of an attack."""
    code = command(["--short", "--seed", "1", "--only", name])
    return code, capsys.readouterr().out


@pytest.mark.parametrize("name", list(ATTACKS))
def test_every_attack_is_held_off(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, output = run(name, capsys)
    assert code == Exit.OK, output


NO_LEAD_IN = "from wire.udpstp.ends.sender import SendingEnd\nSendingEnd.leads_in = False"
NO_TRUST = (
    "from peer.admission import Admission\nAdmission._may_displace = lambda *_: False\n"
    "from peer.reputation import Reputation\nReputation.waits_until = lambda *_: 0"
)


@pytest.mark.parametrize(("name", "weakness", "broken"), [
    ("forged-source", NO_LEAD_IN, "down:"),
    ("idle-set-ups", NO_TRUST, "another key"),
])  # fmt: skip
def test_a_weak_peer_is_found(
    name: str, weakness: str, broken: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = f"{weakness}\nfrom peer.__main__ import main\nmain()"
    monkeypatch.setattr(testbed, "PROGRAM", (sys.executable, "-c", program))
    code, output = run(name, capsys)
    assert code == Exit.FAIL
    assert f"BROKEN: {broken}" in output
