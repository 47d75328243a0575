"""Scratch machine: a bare Debian below an overlay, the checkout in it, and stand-ins for systemd."""

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.documentation import ROOT

BASE = Path("/var/tmp/plancher-bookworm-base")
CHECKOUT = "/root/plancher"
# What Debian's installer adds to debootstrap's smallest variant, as far as the guides take it for granted.
_INCLUDED = "ca-certificates,procps,iproute2,openssl"
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_STAND_IN = Path(__file__).with_name("systemctl.py")


def make_base() -> None:
    """Unpack Debian 12 once; later runs use it again."""
    if BASE.exists():
        return
    part = BASE.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    words = ["debootstrap", "--variant=minbase", f"--include={_INCLUDED}", "bookworm", str(part)]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    part.rename(BASE)


class Machine:
    """Debian system in a folder; ``namespace`` is its network."""

    def __init__(self, name: str, root: Path, namespace: str) -> None:
        self.name, self.root, self._namespace = name, root, namespace

    @property
    def checkout(self) -> Path:
        return self.root / CHECKOUT.removeprefix("/")

    def prepare(self, hosts: str) -> None:
        """Copy the checkout, the names of other machines, and the stand-ins."""
        self.checkout.mkdir(parents=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        for name in filter(None, listed.decode().split("\0")):
            target = self.checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
        shutil.copy("/etc/resolv.conf", self.root / "etc/resolv.conf")
        shutil.copy(_CERTIFICATES, self.root / _CERTIFICATES.removeprefix("/"))
        with (self.root / "etc/hosts").open("a") as file:
            file.write(hosts)
        for name in ("systemctl", "journalctl"):
            target = self.root / "usr/local/bin" / name
            shutil.copy(_STAND_IN, target)
            target.chmod(0o755)

    def run(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Run one line as root in the checkout; what needs a package index has the host's network."""
        words = ["chroot", str(self.root), "/bin/sh", "-c", f"cd {CHECKOUT} && {line}"]
        if not needs_packages(line):
            words = ["ip", "netns", "exec", self._namespace, *words]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
            "PIP_CERT": _CERTIFICATES,
        }
        with tempfile.TemporaryFile("w+") as output:  # daemons that keep a pipe open would block its reader
            code = subprocess.call(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
            output.seek(0)
            return subprocess.CompletedProcess(words, code, output.read())

    def end(self) -> None:
        """Stop every program whose root is this machine's."""
        for process in Path("/proc").glob("[0-9]*"):
            try:
                inside = (process / "root").readlink() == self.root
            except OSError:
                continue
            if inside:
                subprocess.run(["kill", "-KILL", process.name], check=False, stderr=subprocess.DEVNULL)


def needs_packages(line: str) -> bool:
    """Tell whether a command downloads packages."""
    program = shlex.split(line)[0]
    return program == "apt-get" or program.endswith("/pip")


@contextmanager
def machine(name: str, folder: Path, namespace: str, hosts: str) -> Iterator[Machine]:
    """Make a machine, and remove it with all its programs."""
    upper, work, root = (folder / name / part for part in ("upper", "work", "root"))
    for part in (upper, work, root):
        part.mkdir(parents=True)
    options = f"lowerdir={BASE},upperdir={upper},workdir={work}"
    mounted = [root]
    made = Machine(name, root, namespace)
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
    try:
        for kind, place in (("proc", "proc"), ("tmpfs", "run"), ("tmpfs", "tmp")):
            subprocess.run(["mount", "-t", kind, kind, root / place], check=True)
            mounted.append(root / place)
        subprocess.run(["mount", "--bind", "/dev", root / "dev"], check=True)
        mounted.append(root / "dev")
        made.prepare(hosts)
        yield made
    finally:
        made.end()
        for place in reversed(mounted):
            if subprocess.run(["umount", "--lazy", place], check=False).returncode:
                print(f"could not unmount {place}", file=sys.stderr)


@contextmanager
def network(name: str, address: str) -> Iterator[str]:
    """Make a network namespace that has loopback with one more address, and no way out."""
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        inside = ["ip", "-netns", name]
        subprocess.run([*inside, "address", "add", f"{address}/32", "dev", "lo"], check=True)
        subprocess.run([*inside, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)
