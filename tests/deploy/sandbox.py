"""Sandbox of a unit: its program runs with the restrictions of systemd, without systemd.

``python -m tests.deploy.sandbox UNIT ROOT [COMMAND]``, as root, makes a mount namespace. Everything in it is
read-only except the unit's own directories, and /opt/plancher is this environment. The program has the unit's
user, umask, limits, capabilities and system call filter. ROOT contains the future /etc, /run and /var/lib.
Left out: control groups, private /proc and /dev, user namespaces, priorities.

``--shell ROOT SCRIPT`` runs a shell in such a system without restrictions.
"""

import ctypes
import errno
import json
import os
import resource
import shutil
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.deploy.units import Unit
from tests.servers import SECCOMP

REPOSITORY = Path(__file__).parents[2]
USERS = {"plancher": 64101, "plancher-peer": 64102, "plancher-collector": 64103}
DYNAMIC_USER = 64104
_NEEDED = (REPOSITORY, Path(sys.base_prefix))
_HIDDEN = {"PrivateTmp": ("/tmp", "/var/tmp"), "ProtectHome": ("/home", "/root")}
_UNPROTECTED = ("/proc", "/sys", "/dev")  # ProtectSystem=strict leaves these to directives of their own
_CLOCK = ("adjtimex", "clock_adjtime", "clock_settime", "settimeofday")

_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_FLAGS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
_SEARCHABLE = 0o001
_NEW_MOUNTS, _DETACH = 0x20000, 2
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | 1  # SCMP_ACT_ALLOW; SCMP_ACT_ERRNO with EPERM
_EQUAL, _MASKED_EQUAL = 4, 7  # enum scmp_compare of <seccomp.h>
_libc = ctypes.CDLL(None, use_errno=True)


def prepare(root: Path) -> None:
    """Make the future /etc (a copy of this machine's), and empty /run, /var/lib and /opt."""
    shutil.copytree("/etc", root / "etc", symlinks=True)
    for name in ("etc/plancher", "run", "var/lib", "opt/plancher"):
        (root / name).mkdir(parents=True, exist_ok=True)


def add_users(root: Path) -> None:
    """Add the users of the units, as an installation does."""
    for name, number in USERS.items():
        with (root / "etc/passwd").open("a") as users, (root / "etc/group").open("a") as groups:
            users.write(f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n")
            groups.write(f"{name}:x:{number}:\n")


def _user(unit: Unit) -> int:
    return DYNAMIC_USER if unit.is_on("DynamicUser") else USERS[unit.one("User")]


def _mount(source: str, target: str, flags: int, kind: str = "") -> None:
    if _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, None):
        raise OSError(ctypes.get_errno(), f"mount {source} on {target}")


def _own_directories(unit: Unit, root: Path) -> list[str]:
    """Make the directories that systemd makes for the unit's user; return their paths inside."""
    places = []
    for directive, parent in (("StateDirectory", "var/lib"), ("RuntimeDirectory", "run")):
        if name := unit.one(directive):
            place = root / parent / name
            place.mkdir(exist_ok=True)
            place.chmod(int(unit.one(f"{directive}Mode"), 8))
            os.chown(place, _user(unit), _user(unit))
            places.append(f"/{parent}/{name}")
    return places


def _enter(root: Path) -> None:
    """Enter a mount namespace with the directories of ``root``."""
    if _libc.unshare(_NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "unshare")
    _mount("none", "/", _RECURSIVE | _PRIVATE)
    _let_go_of_network_namespaces()
    for place in ("etc", "run", "var/lib", "opt"):
        _mount(str(root / place), f"/{place}", _BIND | _RECURSIVE)


def _protect(unit: Unit, own: Iterable[str]) -> None:
    _mount(sys.prefix, "/opt/plancher", _BIND)
    for place in own:
        _mount(place, place, _BIND)
    hidden = [place for directive, places in _HIDDEN.items() if unit.is_on(directive) for place in places]
    _hide(sorted({*hidden, *_closed()}))
    _make_read_only(except_below=(*_UNPROTECTED, *own, *hidden))


def _hide(places: Iterable[str]) -> None:
    """Replace directories by empty ones, which contain only what the tests need."""
    for place in filter(os.path.isdir, places):
        needed = {path: os.open(path, os.O_DIRECTORY) for path in _NEEDED if path.is_relative_to(place)}
        _mount("tmpfs", place, 0, "tmpfs")
        for path, descriptor in needed.items():
            path.mkdir(parents=True, exist_ok=True)
            _lay(path, descriptor)
            os.close(descriptor)


def _lay(path: Path, descriptor: int) -> None:
    """Mount a directory; of a directory that only its owner may search, mount the contents."""
    source = f"/proc/self/fd/{descriptor}"
    if os.fstat(descriptor).st_mode & _SEARCHABLE:
        _mount(source, str(path), _BIND)
        return
    for name in os.listdir(descriptor):
        there = path / name
        if Path(source, name).is_dir():
            there.mkdir()
        else:
            there.touch()
        _mount(f"{source}/{name}", str(there), _BIND)


def _closed() -> set[str]:
    """Return the directories above needed files that only their owner may search."""
    ways = (reversed((path, *path.parents)) for path in _NEEDED)
    found = (next((place for place in way if not place.stat().st_mode & _SEARCHABLE), None) for way in ways)
    return {str(place) for place in found if place is not None}


def _let_go_of_network_namespaces() -> None:
    # A copy of these mounts would keep namespaces alive that another test deletes.
    for place in Path("/run/netns").glob("*"):
        _libc.umount2(str(place).encode(), _DETACH)


def _make_read_only(except_below: Iterable[str]) -> None:
    spared = [Path(place) for place in except_below]
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        _, _, _, _, place, options, *_ = line.split()
        if any(Path(place).is_relative_to(one) for one in spared):
            continue
        kept = sum(_FLAGS.get(option, 0) for option in options.split(","))
        try:
            _mount("none", place, _REMOUNT | _BIND | _READ_ONLY | kept)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):  # hidden by what was mounted above it
                raise


def _become(unit: Unit) -> list[str]:
    """Return the setpriv(1) command for the unit's user and capabilities."""
    user = str(_user(unit))
    kept = [name.removeprefix("CAP_").lower() for name in unit.one("CapabilityBoundingSet").split()]
    rights = ",".join(["-all", *(f"+{name}" for name in kept)])
    words = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--bounding-set", rights]
    assert unit.one("AmbientCapabilities").split() == unit.one("CapabilityBoundingSet").split()
    words += ["--inh-caps", rights, "--ambient-caps", rights]
    return [*words, *(["--no-new-privs"] if unit.is_on("NoNewPrivileges") else [])]


class _Comparison(ctypes.Structure):
    """Mirror of struct scmp_arg_cmp of <seccomp.h>."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Filter:
    """Filter of libseccomp, with which systemd builds its own."""

    def __init__(self, default: int) -> None:
        self._library = ctypes.CDLL(SECCOMP)
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(default)))

    def add(self, action: int, call: str, *comparisons: _Comparison) -> None:
        """Add a rule for a system call, unless this machine has no such call."""
        number = self._library.seccomp_syscall_resolve_name(call.encode())
        array = (_Comparison * max(1, len(comparisons)))(*comparisons)
        rule = (self._context, ctypes.c_uint32(action), number, len(comparisons), array)
        if number >= 0 and (error := self._library.seccomp_rule_add_array(*rule)):
            raise OSError(-error, f"no rule for {call}")

    def load(self) -> None:
        if error := self._library.seccomp_load(self._context):
            raise OSError(-error, "no filter")


def _confine(unit: Unit, calls: Iterable[str]) -> None:
    """Load the filters of the unit into the kernel."""
    refused, allowed = _Filter(_ALLOW), _Filter(_REFUSE)
    families = {int(getattr(socket, name)) for name in unit.one("RestrictAddressFamilies").split()}
    for family in set(range(64)) - families:
        refused.add(_REFUSE, "socket", _Comparison(0, _EQUAL, family, 0))
    if unit.is_on("MemoryDenyWriteExecute"):
        refused.add(_REFUSE, "mmap", _Comparison(2, _MASKED_EQUAL, 6, 6))  # PROT_WRITE with PROT_EXEC
        for call in ("mprotect", "pkey_mprotect"):
            refused.add(_REFUSE, call, _Comparison(2, _MASKED_EQUAL, 4, 4))
    also = [*_CLOCK] if unit.is_on("ProtectClock") else []
    also += ["unshare", "setns"] if unit.is_on("RestrictNamespaces") else []
    for call in also:
        refused.add(_REFUSE, call)
    for call in calls:
        allowed.add(_ALLOW, call)
    refused.load()
    allowed.load()


def _begin(unit: Unit, root: Path, command: list[str]) -> None:
    """Enter the namespace as root, then run this module again as the unit's user."""
    (root / "run" / f"{unit.name}.calls").write_text(json.dumps(sorted(unit.allowed_calls())))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]  # beyond it only with CAP_SYS_RESOURCE
    files = min(int(unit.one("LimitNOFILE")), most)
    own = _own_directories(unit, root)
    _enter(root)
    _protect(unit, own)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    os.umask(int(unit.one("UMask"), 8))
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    os.execvp("setpriv", [*_become(unit), sys.executable, "-m", __spec__.name, unit.name, "", *command])


def _finish(unit: Unit, command: list[str]) -> None:
    """Load the filters as the unit's user, then become its program."""
    calls = json.loads(Path("/run", f"{unit.name}.calls").read_text())
    del os.environ["PYTHONPATH"]
    os.chdir(unit.one("WorkingDirectory", "/"))
    _confine(unit, calls)
    os.execv(command[0], command)


def _shell(root: Path, script: str) -> None:
    _enter(root)
    _hide(_closed())
    os.execv("/bin/sh", ["sh", "-c", script])


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--shell", folder, words]:
            _shell(Path(folder), words)
        case [name, "", *words]:
            _finish(Unit(name), words)
        case [name, folder, *words]:
            _begin(Unit(name), Path(folder), words or Unit(name).program())
