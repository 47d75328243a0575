"""Servers, tools and libraries that tests use: their paths, and how to install them.

``python -m tests.servers`` installs them before the tests run; a test calls ``require``. None is started as a
service: a test starts its own server on a free port, and ends it.
"""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

import pytest

# systemd builds its filters of system calls with this library, and so do the tests of the units.
SECCOMP = "libseccomp.so.2"
# Programs and libraries with their Debian packages: two, where the one is of no use without the other.
PACKAGES = {
    "mosquitto": "mosquitto",
    "mosquitto_sub": "mosquitto-clients",
    "mosquitto_pub": "mosquitto-clients",
    "mosquitto_passwd": "mosquitto",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "chromium": "chromium",
    "ip": "iproute2",
    "tc": "iproute2",
    "nft": "nftables",
    "ping": "iputils-ping",
    "irtt": "irtt",
    "iperf3": "iperf3",
    "snmpd": "snmpd",
    "cc": "gcc libc6-dev",
    "systemd-analyze": "systemd",
    "journalctl": "systemd",
    "openssl": "openssl",
    SECCOMP: "libseccomp2",
}
OTHER_NAMES = {
    "prometheus-alertmanager": ("alertmanager",),
    "chromium": ("chromium-browser", "google-chrome"),
    "cc": ("gcc",),
}
# An ordinary user's PATH lacks these, and Debian puts daemons there.
ALSO_SEARCHED = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/snap/bin")
POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Test servers are being installed; 101 forbids starting services.\nexit 101\n"
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=60")


def in_continuous_integration() -> bool:
    """Return whether a missing server fails the test instead of skipping it."""
    return os.environ.get("CI", "").lower() == "true"


def find(name: str) -> Path | None:
    """Return the path of a program, or the name of a library that the loader finds, or None."""
    if name == SECCOMP:
        with suppress(OSError):
            ctypes.CDLL(name)
            return Path(name)
        return None
    places = os.pathsep.join((os.environ.get("PATH", ""), *ALSO_SEARCHED))
    paths = (shutil.which(one, path=places) for one in (name, *OTHER_NAMES.get(name, ())))
    return next((Path(path) for path in paths if path), None)


def require(name: str) -> Path:
    """Return the path of a program or library. Skip the test if it is missing; fail it where CI is true.

    Raises KeyError for a name that is not in PACKAGES, and therefore never installed.
    """
    package, path = PACKAGES[name], find(name)
    if path is None:
        not_there(f"{name} is not installed: {_how_to_install([package])}")
    return path


def not_there(reason: str) -> NoReturn:
    """Skip the test for ``reason``; fail it where CI is true."""
    if in_continuous_integration():
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def provide() -> int:
    """Install missing servers where possible, report the rest, and return the exit status."""
    lacking = [name for name in PACKAGES if find(name) is None]
    if lacking and os.geteuid() == 0 and _is_debian():
        _install(_packages(PACKAGES[name] for name in lacking))
        lacking = [name for name in lacking if find(name) is None]
    if not lacking:
        print(f"Servers for the tests: all {len(PACKAGES)} are installed.")
        return 0
    for name in lacking:
        print(f"Missing: {name} (Debian package {PACKAGES[name]})", file=sys.stderr)
    print(f"To install them: {_how_to_install(PACKAGES[name] for name in lacking)}", file=sys.stderr)
    if in_continuous_integration():
        print("CI=true: a missing server is a failure.", file=sys.stderr)
        return 1
    print("Tests that need them will be skipped.", file=sys.stderr)
    return 0


def _packages(named: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(package for packages in named for package in packages.split()))


def _how_to_install(named: Iterable[str]) -> str:
    return (
        f"on Debian or Ubuntu: sudo apt-get install {' '.join(_packages(named))} (or `sudo make servers`)"
        "; elsewhere: the packages of the same names"
    )


def _install(packages: list[str]) -> None:
    began = time.monotonic()
    print(f"Installing {', '.join(packages)} with apt-get, which may take minutes ...", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _services_kept_from_starting():
        # Stale lists name versions that the mirror no longer has. After a failed update an installation may
        # still work.
        subprocess.run([*APT, "update"], env=environment, check=False)
        words = [*APT, "-y", "install", "--no-install-recommends", *packages]
        status = subprocess.run(words, env=environment, check=False).returncode
    result = "Installed; no service was started" if status == 0 else f"apt-get ended with status {status}"
    print(f"{result} ({time.monotonic() - began:.0f} s).", flush=True)


@contextmanager
def _services_kept_from_starting() -> Iterator[None]:
    # An existing policy is its owner's decision.
    is_ours = not POLICY.exists()
    if is_ours:
        POLICY.write_text(POLICY_TEXT, encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if is_ours:
            POLICY.unlink()


def _is_debian() -> bool:
    with suppress(OSError):
        release = platform.freedesktop_os_release()
        return "debian" in (release.get("ID", ""), *release.get("ID_LIKE", "").split())
    return False


if __name__ == "__main__":
    sys.exit(provide())
