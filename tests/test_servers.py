"""Installation of what tests need, with an apt-get of the test's own."""

import os
from pathlib import Path

import pytest

from tests import servers

# Notes its command and the policy of that time, and makes the program that it was asked for.
APT = """#!/bin/sh
PATH=/bin:/usr/bin
echo "$@" >> {folder}/commands
cat {folder}/policy-rc.d >> {folder}/policies
case "$*" in *install*) {status} && cp {folder}/apt-get {folder}/openssl;; esac
"""


def machine(
    folder: Path, patch: pytest.MonkeyPatch, *missing: str, root: bool = True, debian: bool = True,
    ci: bool = False, apt: str = "true",
) -> Path:  # fmt: skip
    """Make a machine with all servers but ``missing``; return the list of commands that apt-get was given."""
    for name in servers.PACKAGES.keys() - {*missing, servers.SECCOMP}:
        (folder / name).touch(mode=0o755)
    (folder / "apt-get").touch(mode=0o755)
    (folder / "apt-get").write_text(APT.format(folder=folder, status=apt))
    patch.setenv("PATH", str(folder))
    patch.setenv("CI", str(ci))
    patch.setattr(servers, "PACKAGES", {n: p for n, p in servers.PACKAGES.items() if n != servers.SECCOMP})
    patch.setattr(servers, "ALSO_SEARCHED", ())
    patch.setattr(servers, "POLICY", folder / "policy-rc.d")
    patch.setattr(servers, "_is_debian", lambda: debian)
    patch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    return folder / "commands"


def test_nothing_is_run_when_all_are_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = machine(tmp_path, monkeypatch)
    assert servers.provide() == 0
    assert not commands.exists()
    assert capsys.readouterr().out == f"Servers for the tests: all {len(servers.PACKAGES)} are installed.\n"


def test_root_on_debian_installs_what_is_missing_without_starting_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = machine(tmp_path, monkeypatch, "openssl")
    assert servers.provide() == 0
    update, install = commands.read_text().splitlines()
    assert update.endswith("update")
    assert install.endswith("--no-install-recommends openssl")
    assert (tmp_path / "policies").read_text() == servers.POLICY_TEXT * 2
    assert not (tmp_path / "policy-rc.d").exists()


@pytest.mark.parametrize(
    ("root", "debian", "ci"), [(False, True, False), (True, False, False), (False, False, True)]
)
def test_elsewhere_missing_servers_are_listed_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    root: bool, debian: bool, ci: bool,
) -> None:  # fmt: skip
    commands = machine(tmp_path, monkeypatch, "openssl", root=root, debian=debian, ci=ci)
    assert servers.provide() == ci
    assert not commands.exists()
    effect = "CI=true: a missing server is a failure." if ci else "Tests that need them will be skipped."
    assert capsys.readouterr().err == (
        "Missing: openssl (Debian package openssl)\n"
        "To install them: on Debian or Ubuntu: sudo apt-get install openssl (or `sudo make servers`); "
        f"elsewhere: the packages of the same names\n{effect}\n"
    )


def test_a_failed_installation_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine(tmp_path, monkeypatch, "openssl", apt="exit 100")
    assert servers.provide() == 0
    output = capsys.readouterr()
    assert "apt-get ended with status 100" in output.out
    assert "Missing: openssl (Debian package openssl)" in output.err
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="openssl is not installed"):
        servers.require("openssl")
