"""What is missing is named, with the command that mends it."""

import socket
import subprocess
import sys

import pytest

from lab.demo import places, programs
from lab.demo.places import NoRoomError, claim


def test_this_machine_has_what_the_demo_needs() -> None:
    programs.require()


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NoRoomError, match="the demo needs Linux"):
        programs.require()


def test_missing_packages_and_programs_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "NEEDED_MODULES", ("amqtt", "no_such_module"))
    monkeypatch.setattr(programs, "PROGRAMS", ("plancher-lab", "plancher-nothing"))
    with pytest.raises(NoRoomError) as caught:
        programs.require()
    assert str(caught.value) == (
        "not installed: no_such_module, plancher-nothing. Mend it with `make install`, "
        f"or `{sys.executable} -m pip install 'plancher[lab]'`"
    )


def test_a_module_that_the_demo_itself_imports_is_named() -> None:
    code = (
        "import sys\nsys.modules['prometheus_client'] = None\n"
        "from lab.__main__ import command\nsys.exit(command(['demo']))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 69
    assert ended.stderr.startswith("plancher-lab: configuration: the demo needs prometheus_client")
    assert "make install" in ended.stderr


def test_every_claim_has_addresses_of_its_own() -> None:
    with claim(2) as one, claim(2) as other:
        assert not set(one.links) & set(other.links)
        assert len({one.broker_port, one.page_port}) == len({one.control_port, one.stamp_port}) == 2


def test_addresses_are_free_again_after_the_claim() -> None:
    with claim(1) as one:
        pass
    host = one.links[0].rpartition(".")[0] + ".1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((host, places.CLAIM_PORT))


def test_no_free_addresses_are_told_with_their_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "THIRD_OCTETS", ())
    with pytest.raises(NoRoomError, match="ip link set lo up"), claim(1):
        pass
