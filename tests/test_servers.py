from collections.abc import Sequence
from pathlib import Path

import pytest

from tests import servers
from tests.servers import LIBRARIES, SERVERS, Library, Machine, Server


class Apt:
    """Stands in for apt-get: notes each command, and can put the programs where they are looked for."""

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


def test_nothing_is_run_when_all_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for needed in (*SERVERS, *LIBRARIES):
        executable(tmp_path / needed.name)
    apt = apt_at(tmp_path)
    assert servers.provide(machine(apt, tmp_path)) == 0
    assert apt.commands == []
    count = len(SERVERS) + len(LIBRARIES)
    assert capsys.readouterr().out == f"Servers for the tests: all {count} are there.\n"


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


def fail_under(policy: Path) -> None:
    with servers._services_kept_from_starting(policy):
        assert policy.stat().st_mode & 0o777 == 0o755
        raise RuntimeError


def test_the_policy_is_executable_while_it_stands_and_gone_after_a_failure(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_under(tmp_path / "policy-rc.d")
    assert not (tmp_path / "policy-rc.d").exists()


def test_a_policy_that_was_there_stays(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 104\n")
    servers.provide(machine(apt_at(tmp_path), tmp_path))
    assert policy.read_text() == "#!/bin/sh\nexit 104\n"


@pytest.mark.parametrize(("root", "debian"), [(False, True), (True, False), (False, False)])
def test_elsewhere_it_says_what_is_missing_and_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], root: bool, debian: bool
) -> None:
    for needed in (*SERVERS[:-1], *LIBRARIES):
        executable(tmp_path / needed.name)
    apt = apt_at(tmp_path)
    assert servers.provide(machine(apt, tmp_path, root=root, debian=debian)) == 0
    assert apt.commands == []
    assert capsys.readouterr().err == (
        "Missing: openssl (Debian package openssl)\n"
        "To get them: on Debian or Ubuntu: sudo apt-get install openssl (or `sudo make servers`, which "
        "starts none); elsewhere: the packages of the same names\n"
        "Tests that need them will be skipped.\n"
    )


def test_in_continuous_integration_a_missing_server_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert servers.provide(machine(apt_at(tmp_path), tmp_path, root=False, ci=True)) == 1
    assert capsys.readouterr().err.endswith("CI=true: a missing server is a failure.\n")


@pytest.mark.parametrize(("ci", "status"), [(False, 0), (True, 1)])
def test_an_installation_that_failed_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ci: bool, status: int
) -> None:
    assert servers.provide(machine(apt_at(tmp_path, works=False), tmp_path, ci=ci)) == status
    told = capsys.readouterr()
    assert "apt-get ended with status 100" in told.out
    assert "Missing: mosquitto (Debian package mosquitto)" in told.err


def test_each_program_is_looked_for_under_all_its_names(tmp_path: Path) -> None:
    browser = Server(("chromium", "google-chrome"), "chromium")
    assert servers.find(browser, [tmp_path]) is None
    path = executable(tmp_path / "google-chrome")
    assert servers.find(browser, [tmp_path]) == path


def test_a_file_that_cannot_be_run_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "openssl").write_text("")
    assert servers.find(Server(("openssl",), "openssl"), [tmp_path]) is None


def test_daemons_are_found_though_an_ordinary_path_lacks_them() -> None:
    places = servers.search_path({"PATH": "/usr/bin:/bin"})
    assert places[:2] == (Path("/usr/bin"), Path("/bin"))
    assert Path("/usr/sbin") in places


def test_a_test_without_its_server_is_skipped_and_told_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find", lambda server, directories: None)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception) as caught:
        servers.require("promtool")
    assert str(caught.value).startswith(
        "promtool is not installed: on Debian or Ubuntu: sudo apt-get install"
    )


def test_a_test_without_its_server_fails_in_continuous_integration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "find", lambda server, directories: None)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="promtool is not installed"):
        servers.require("promtool")


def test_a_library_is_there_if_the_loader_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert servers.loads("libc.so.6")
    monkeypatch.setenv("CI", "true")
    nowhere = Library("libnowhere.so.1", "libnowhere1")
    with pytest.raises(pytest.fail.Exception, match=r"libnowhere\.so\.1 is not installed: .* libnowhere1"):
        servers.require_library(nowhere)


def test_a_program_that_is_not_listed_is_a_mistake_of_the_test() -> None:
    with pytest.raises(KeyError):
        servers.require("no-such-program")
