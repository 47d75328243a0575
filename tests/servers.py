"""Servers, tools and libraries that tests use: their paths, and how to install them.

``python -m tests.servers`` installs them before the tests run; a test calls ``require``. None is started as a
service: a test starts its own server on a free port, and ends it.
"""

import ctypes
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest


@dataclass(frozen=True, slots=True)
class Library:
    """Shared library that tests load, by the name that the loader knows."""

    name: str
    package: str


@dataclass(frozen=True, slots=True)
class Server:
    """Program that tests use. ``names``: its possible names, the usual one first.

    ``package``: its Debian package, or two separated by a space where the one is of no use without the other.
    """

    names: tuple[str, ...]
    package: str

    @property
    def name(self) -> str:
        """Name that a test asks for."""
        return self.names[0]


SERVERS = (
    Server(("mosquitto",), "mosquitto"),
    Server(("mosquitto_sub",), "mosquitto-clients"),
    Server(("mosquitto_pub",), "mosquitto-clients"),
    Server(("mosquitto_passwd",), "mosquitto"),
    Server(("prometheus",), "prometheus"),
    Server(("promtool",), "prometheus"),
    Server(("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager"),
    Server(("amtool",), "prometheus-alertmanager"),
    Server(("chromium", "chromium-browser", "google-chrome"), "chromium"),
    Server(("ip",), "iproute2"),
    Server(("tc",), "iproute2"),
    Server(("nft",), "nftables"),
    Server(("ping",), "iputils-ping"),
    Server(("irtt",), "irtt"),
    Server(("iperf3",), "iperf3"),
    Server(("snmpd",), "snmpd"),
    Server(("cc", "gcc"), "gcc libc6-dev"),
    Server(("systemd-analyze",), "systemd"),
    Server(("journalctl",), "systemd"),
    Server(("openssl",), "openssl"),
)
# systemd builds its filters of system calls with this library, and so do the tests of the units.
SECCOMP = Library("libseccomp.so.2", "libseccomp2")
LIBRARIES = (SECCOMP,)
# An ordinary user's PATH lacks these, and Debian puts daemons there.
ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/snap/bin")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Test servers are being installed; 101 forbids starting services.\nexit 101\n"
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60")

Run = Callable[[Sequence[str]], int]
Needed = Server | Library


@dataclass(frozen=True, slots=True)
class Machine:
    """Properties of this machine. ``run`` runs a command and returns its exit status.

    ``loads``: whether the loader finds a library of this name.
    """

    directories: tuple[Path, ...]
    root: bool
    debian: bool
    continuous_integration: bool
    run: Run
    loads: Callable[[str], bool]
    policy: Path = POLICY


def loads(library: str) -> bool:
    """Return whether the loader finds a library on this machine."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def search_path(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the directories in which programs are searched."""
    places = [place for place in environment.get("PATH", "").split(os.pathsep) if place]
    return tuple(Path(place) for place in dict.fromkeys([*places, *ALSO_SEARCHED]))


def in_continuous_integration(environment: Mapping[str, str]) -> bool:
    """Return whether a missing server fails the test instead of skipping it."""
    return environment.get("CI", "").lower() == "true"


def find(server: Server, directories: Sequence[Path]) -> Path | None:
    """Return the path of ``server``, or None."""
    candidates = (directory / name for name in server.names for directory in directories)
    return next((path for path in candidates if path.is_file() and os.access(path, os.X_OK)), None)


def missing(machine: Machine) -> list[Needed]:
    """List the servers and libraries that are not installed."""
    servers = [server for server in SERVERS if find(server, machine.directories) is None]
    return [*servers, *(library for library in LIBRARIES if not machine.loads(library.name))]


def require(program: str) -> Path:
    """Return the path of ``program``. Skip the test if it is missing; fail it where CI is true.

    Raises KeyError for a program that is not in SERVERS, and therefore never installed.
    """
    server = {server.name: server for server in SERVERS}[program]
    path = find(server, search_path(os.environ))
    if path is None:
        not_there(f"{program} is not installed: {_how_to_install([server])}")
    return path


def require_library(library: Library) -> None:
    """Skip the test if the library is missing; fail it where CI is true."""
    if not loads(library.name):
        not_there(f"{library.name} is not installed: {_how_to_install([library])}")


def not_there(reason: str) -> NoReturn:
    """Skip the test for ``reason``; fail it where CI is true."""
    if in_continuous_integration(os.environ):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def provide(machine: Machine) -> int:
    """Install missing servers where possible, report the rest, and return the exit status."""
    lacking = missing(machine)
    if lacking and machine.root and machine.debian:
        _install(_packages(lacking), machine)
        lacking = missing(machine)
    if not lacking:
        print(f"Servers for the tests: all {len(SERVERS) + len(LIBRARIES)} are installed.")
        return 0
    for server in lacking:
        print(f"Missing: {server.name} (Debian package {server.package})", file=sys.stderr)
    print(f"To install them: {_how_to_install(lacking)}", file=sys.stderr)
    if machine.continuous_integration:
        print("CI=true: a missing server is a failure.", file=sys.stderr)
        return 1
    print("Tests that need them will be skipped.", file=sys.stderr)
    return 0


def _packages(needed: Sequence[Needed]) -> list[str]:
    return list(dict.fromkeys(package for one in needed for package in one.package.split()))


def _how_to_install(needed: Sequence[Needed]) -> str:
    packages = " ".join(_packages(needed))
    return (
        f"on Debian or Ubuntu: sudo apt-get install {packages} (or `sudo make servers`)"
        "; elsewhere: the packages of the same names"
    )


def _install(packages: Sequence[str], machine: Machine) -> None:
    began = time.monotonic()
    print(f"Installing {', '.join(packages)} with apt-get, which may take minutes ...", flush=True)
    with _services_kept_from_starting(machine.policy):
        # Stale lists name versions that the mirror no longer has. After a failed update an installation may
        # still work.
        machine.run([*APT, "update"])
        status = machine.run([*APT, "-y", "install", "--no-install-recommends", *packages])
    result = "Installed; no service was started" if status == 0 else f"apt-get ended with status {status}"
    print(f"{result} ({time.monotonic() - began:.0f} s).", flush=True)


def _services_kept_from_starting(policy: Path) -> AbstractContextManager[None]:
    # An existing policy is its owner's decision.
    return nullcontext() if policy.exists() else _temporary_policy(policy)


@contextmanager
def _temporary_policy(policy: Path) -> Iterator[None]:
    policy.write_text(POLICY_TEXT, encoding="utf-8")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()


def _run(command: Sequence[str]) -> int:
    try:
        return subprocess.run(command, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"}).returncode
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def _is_debian() -> bool:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return False
    return "debian" in (release.get("ID", ""), *release.get("ID_LIKE", "").split())


def main() -> int:
    """Install the servers on this machine."""
    return provide(
        Machine(
            directories=search_path(os.environ),
            root=os.geteuid() == 0,
            debian=_is_debian(),
            continuous_integration=in_continuous_integration(os.environ),
            run=_run,
            loads=loads,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
