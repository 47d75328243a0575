from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import servers
from tests.servers import LIBRARIES, SERVERS, Machine


class Apt:
    """Fake apt-get: records each command, and can create the programs."""

    def __init__(self, directory: Path, policy: Path, *, works: bool = True) -> None:
        self.commands: list[list[str]] = []
        self.policies: list[str] = []
        self._directory = directory
        self._policy = policy
        self._works = works

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(list(command))
        self.policies.append(self._policy.read_text() if self._policy.exists() else "")
        if not self._works:
            return 100
        if "install" in command:
            for needed in (*SERVERS, *LIBRARIES):
                if needed.package in command:
                    executable(self._directory / needed.name)
        return 0


def executable(path: Path) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def machine(apt: Apt, tmp_path: Path, *, root: bool = True, debian: bool = True, ci: bool = False) -> Machine:
    def loads(library: str) -> bool:
        return (tmp_path / library).exists()

    return Machine((tmp_path,), root, debian, ci, apt, loads, tmp_path / "policy-rc.d")


def apt_at(tmp_path: Path, *, works: bool = True) -> Apt:
    return Apt(tmp_path, tmp_path / "policy-rc.d", works=works)


def test_nothing_is_run_when_all_are_installed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for needed in (*SERVERS, *LIBRARIES):
        executable(tmp_path / needed.name)
    apt = apt_at(tmp_path)
    assert servers.provide(machine(apt, tmp_path)) == 0
    assert apt.commands == []
    count = len(SERVERS) + len(LIBRARIES)
    assert capsys.readouterr().out == f"Servers for the tests: all {count} are installed.\n"


def test_root_on_debian_installs_what_is_missing_without_starting_it(tmp_path: Path) -> None:
    for needed in (*SERVERS, *LIBRARIES):
        if needed.package not in ("prometheus", "libseccomp2"):
            executable(tmp_path / needed.name)
    apt = apt_at(tmp_path)
    assert servers.provide(machine(apt, tmp_path)) == 0
    update, install = apt.commands
    assert update[0] == "apt-get"
    assert update[-1] == "update"
    assert install[-3:] == ["--no-install-recommends", "prometheus", "libseccomp2"]
    assert all(text.endswith("exit 101\n") for text in apt.policies)
    assert not (tmp_path / "policy-rc.d").exists()


@pytest.mark.parametrize(("root", "debian"), [(False, True), (True, False), (False, False)])
def test_elsewhere_missing_servers_are_listed_with_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root: bool, debian: bool
) -> None:
    for needed in (*SERVERS[:-1], *LIBRARIES):
        executable(tmp_path / needed.name)
    apt = apt_at(tmp_path)
    assert servers.provide(machine(apt, tmp_path, root=root, debian=debian)) == 0
    assert apt.commands == []
    assert capsys.readouterr().err == (
        "Missing: openssl (Debian package openssl)\n"
        "To install them: on Debian or Ubuntu: sudo apt-get install openssl (or `sudo make servers`); "
        "elsewhere: the packages of the same names\n"
        "Tests that need them will be skipped.\n"
    )


def test_in_continuous_integration_a_missing_server_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert servers.provide(machine(apt_at(tmp_path), tmp_path, root=False, ci=True)) == 1
    assert capsys.readouterr().err.endswith("CI=true: a missing server is a failure.\n")


@pytest.mark.parametrize(("ci", "status"), [(False, 0), (True, 1)])
def test_a_failed_installation_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ci: bool, status: int
) -> None:
    assert servers.provide(machine(apt_at(tmp_path, works=False), tmp_path, ci=ci)) == status
    output = capsys.readouterr()
    assert "apt-get ended with status 100" in output.out
    assert "Missing: mosquitto (Debian package mosquitto)" in output.err


def test_a_test_without_its_server_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find", lambda server, directories: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="promtool is not installed"):
        servers.require("promtool")
