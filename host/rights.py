"""Rights of a program that root starts in a folder of its service's user.

That user may plant links where the program will write. Therefore a command writes with the rights of the
folder's owner, and files are opened without following a link.

| started by | the folder, or a part of its path, belongs to | the program goes on as |
|---|---|---|
| another user | anybody | the same user |
| root | root throughout | root |
| root | another user | that user, with the capabilities in ``_KEPT`` |

A file with several names (hard links) is refused, too. Root gives a file to the folder's owner only when it
has just made it.
"""

import ctypes
import errno
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from host.settings import SettingsError

# <linux/capability.h>, <linux/prctl.h>
_CAP_DAC_READ_SEARCH, _CAP_NET_BIND_SERVICE, _CAP_NET_RAW = 2, 10, 13
# Root's settings and backups stay readable, STAMP's port is below 1024, and a trace sends raw packets.
_KEPT = (_CAP_DAC_READ_SEARCH, _CAP_NET_BIND_SERVICE, _CAP_NET_RAW)
_CAPABILITY_VERSION = 0x20080522
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2
_MOST_LINKS = 40  # as the kernel
_EXISTING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # never waits for a pipe that stands there
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW

Owner = tuple[int, int]


def become_owner(*paths: Path) -> None:
    """Go on as the owner of the folders of ``paths``, if root started this program and they are not root's.

    Raises SettingsError where that is impossible, or where anybody may replace files of such a folder.
    """
    if os.geteuid() != 0:
        return
    found = {owner: path for path in paths if (owner := owner_of(path)) is not None}
    if len({user for user, _ in found}) > 1:
        where = " and ".join(f"{path} (of {_name(user)})" for (user, _), path in found.items())
        raise SettingsError(f"{where} belong to different users: give them to one")
    for (user, group), path in found.items():
        try:
            _become(user, group)
        except OSError as error:
            text = f"root may not become {_name(user)}, the owner of {path.parent} ({error.strerror})"
            raise SettingsError(f"{text}: start this program as {_name(user)}") from None
        return


def owner_of(path: Path) -> Owner | None:
    """User and group of the first part of a path that is not root's; None where root has all of it.

    Links of root are followed; whoever owns another part decides what stands below it. Raises SettingsError
    for a folder of root in which anybody may replace files.
    """
    for part, found in _parts(path):
        if found.st_uid:
            return found.st_uid, found.st_gid
        open_to_all = found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX
        if stat.S_ISDIR(found.st_mode) and open_to_all:
            raise SettingsError(f"{part}: anybody may write there: chmod o-w {part}, or use another folder")
    return None


def planted_link(path: Path) -> Path | None:
    """First link in a path that another user than root made; None without one."""
    return next((part for part, found in _parts(path) if stat.S_ISLNK(found.st_mode) and found.st_uid), None)


def open_own(path: Path) -> int:
    """Open a file for reading and writing, or make it with mode 0600; returns the descriptor.

    A file that root makes here belongs to the owner of its folder. Raises OSError, also for a link, for a
    file with several names and for anything that is no file.
    """
    try:
        return make_own(path)
    except FileExistsError:
        return open_existing(path)


def make_own(path: Path, mode: int = 0o600) -> int:
    """Make a file as ``open_own`` does. Raises FileExistsError where the name is taken, also by a link."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = os.open(path.name, _NEW, mode, dir_fd=folder)
        if os.geteuid() == 0:
            owner = os.fstat(folder)
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return descriptor
    finally:
        os.close(folder)


def open_existing(path: Path, flags: int = os.O_RDWR) -> int:
    """Open an existing file with ``flags``, without following a link. Raises OSError as ``open_own``."""
    try:
        descriptor = os.open(path, flags | _EXISTING)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "a link: move it away", str(path)) from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise OSError(errno.EPERM, "not a file with a single name: move it away", str(path))
    return descriptor


def _parts(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Each part of a path from the root, as far as it exists, and the parts of what links of root lead to."""
    # ``..`` stays: after a link it is the parent of what the link leads to.
    waiting, here, links = list((Path.cwd() / path).parts[1:]), Path("/"), 0
    yield here, here.lstat()
    while waiting:
        name = waiting.pop(0)
        if name == "..":
            here = here.parent
            continue
        part = here / name
        try:
            found = part.lstat()
        except OSError:
            return
        yield part, found
        if not stat.S_ISLNK(found.st_mode):
            here = part
            continue
        links += 1
        if links > _MOST_LINKS:
            return
        target = part.readlink()
        here = Path("/") if target.is_absolute() else here
        waiting[:0] = target.parts[1:] if target.is_absolute() else target.parts


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _become(user: int, group: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header, sets = _Header(_CAPABILITY_VERSION, 0), (_Sets * 2)()
    _call(libc.capget, ctypes.byref(header), sets)
    kept = [one for one in _KEPT if sets[0].permitted & 1 << one]
    _call(libc.prctl, _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups(_groups(user, group))
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    mask = sum(1 << one for one in kept)
    _call(libc.capset, ctypes.byref(header), (_Sets * 2)(_Sets(mask, mask, mask)))
    for one in kept:  # for the programs that this one starts
        _call(libc.prctl, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, one, 0, 0)


def _call(function: "ctypes._NamedFuncPointer", *arguments: object) -> None:
    if function(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _groups(user: int, group: int) -> list[int]:
    try:
        return os.getgrouplist(pwd.getpwuid(user).pw_name, group)
    except KeyError:  # a user of a container has a number alone
        return [group]


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
