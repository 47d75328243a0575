"""What a deployer needs to know of the machine that is to measure: interfaces, space, other programs.

By psutil, which only short-lived commands may load: it is 0.8 MB of memory, which the resident agent does not
have to spare (decision 11).
"""

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent.settings.sections import LineCountersSettings
from host.exits import Exit
from host.finding import CheckFinding
from host.units import amount, megabits

MOST_LINKS_TOLD = 8
BUSY_SHARE = 0.25
"""Of a core: a program that takes so much is worth naming."""
FREE_CORES = 1.0
"""Less than this left free, and a sender that keeps time has no core of its own."""
BUSY_RATIO = 0.8
"""From here on a machine is busy, however many cores it has and whoever it is that takes them."""

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_ELSEWHERE = {socket.AF_INET: "203.0.113.1", socket.AF_INET6: "2001:db8::1"}  # RFC 5737, RFC 3849
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """One network interface. ``on``: somebody set it up; ``running``: it has a link, too."""

    name: str
    addresses: tuple[str, ...] = ()
    on: bool = False
    running: bool = False
    loopback: bool = False
    speed_bps: float | None = None

    def __str__(self) -> str:
        state = "up" if self.running else "no link" if self.on else "down"
        speed = f"{megabits(self.speed_bps)} Mbit/s" if self.speed_bps else ""
        return f"{self.name} ({', '.join(part for part in (state, speed, *self.addresses) if part)})"


def links() -> tuple[NetworkInterface, ...]:
    """The interfaces of this process's network namespace, without link-local addresses."""
    addresses = psutil.net_if_addrs()
    return tuple(
        NetworkInterface(
            name,
            tuple(
                one.address
                for one in addresses.get(name, ())
                if one.family in _ELSEWHERE and not one.address.startswith("fe80:")
            ),
            on="up" in state.flags.split(","),
            running=state.isup,
            loopback="loopback" in state.flags.split(","),
            speed_bps=state.speed * 1e6 if state.speed > 0 else None,  # 0 where the driver does not know
        )
        for name, state in psutil.net_if_stats().items()
    )


def outward(found: Sequence[NetworkInterface], address: str | None) -> NetworkInterface | None:
    """The interface from which packets to ``address`` leave.

    Where that is None or this machine's own: packets to anywhere. Only the kernel is asked, which knows
    when a UDP socket is connected; nothing is sent.
    """
    for target in (address, *_ELSEWHERE.values()):
        source = None if target is None else _source(target)
        for link in found:
            if source in link.addresses and not link.loopback and source != target:
                return link
    return None


def _source(target: str) -> str | None:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((target, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return None


def interfaces(found: Sequence[NetworkInterface], way_out: NetworkInterface | None) -> CheckFinding:
    """Which interfaces there are, the one that leads out first."""
    others = sorted(
        (link for link in found if link != way_out and not link.loopback),
        key=lambda link: (not link.running, not link.on, link.name),
    )
    told = [str(link) for link in others]
    if way_out:
        told.insert(0, f"{way_out} leads out")
    if len(told) > MOST_LINKS_TOLD:
        told[MOST_LINKS_TOLD:] = [f"and {len(told) - MOST_LINKS_TOLD} more"]
    if way_out:
        return CheckFinding("interfaces", "; ".join(told))
    text = "none leads out: is a cable in, is there an address and a default route?"
    return CheckFinding("interfaces", "; ".join([*told, text]), note=True)


def forwards() -> bool:
    """Whether this machine passes on the packets of others, as a router does."""
    try:
        return _IP_FORWARD.read_text().strip() != "0"
    except OSError:
        return False


def counters_hint(chosen: LineCountersSettings, way_out: NetworkInterface | None, *, is_router: bool) -> str:
    """What to set ``line_counters`` to, where they are not set or do not serve; "" if that is not known."""
    if chosen.source == "inline" and way_out and chosen.interface != way_out.name:
        return f" (likely {way_out.name}, which leads out)"
    if chosen.source != "none":
        return ""
    if not is_router:
        return "; this machine passes on no packets of others: let it ask the router (source: snmp)"
    if way_out is None:
        return ""
    return (
        "; this machine passes on packets of others: if it does so for all of the site, set"
        f" line_counters.source to inline and interface to {way_out.name}, which leads out"
    )


def space(place: Path, journal: Path, size: int) -> CheckFinding:
    """Whether a journal of ``size`` bytes fits where it is to be, and lasts.

    ``place`` is its directory, or the one in which that would be made.
    """
    try:
        free = psutil.disk_usage(str(place)).free
    except OSError as error:
        return CheckFinding("space", f"{place}: {error.strerror}", note=True)
    kind = file_system(place, [(disk.mountpoint, disk.fstype) for disk in psutil.disk_partitions(all=True)])
    return room(place, kind, free, max(0, size - _used(journal)))


def room(place: Path, kind: str, free: int, wanted: int) -> CheckFinding:
    """What to say of ``free`` bytes on a file system where a journal may still take ``wanted``."""
    told = f"{amount(free)} free at {place}, the journal may still take {amount(wanted)}"
    if free < wanted:
        return CheckFinding("space", f"{told}: make room there, or lower journal.size", Exit.CANNOT_CREATE)
    if kind in _IN_MEMORY:
        text = f"{place} is in memory ({kind}): what was not sent yet is lost when this machine stops"
        return CheckFinding("space", f"{text}; give journal.path a place on a disk", note=True)
    return CheckFinding("space", told)


def file_system(place: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The kind of the file system that ``place`` is on: of mounts on one directory the last is to be seen."""
    resolved, best, kind = place.resolve(), -1, ""
    for mount_point, its_kind in mounts:
        if resolved.is_relative_to(mount_point) and len(mount_point) >= best:
            best, kind = len(mount_point), its_kind
    return kind


def _used(journal: Path) -> int:
    files = (journal, journal.with_name(f"{journal.name}-wal"))
    used = 0
    for file in files:
        try:
            used += file.stat().st_size
        except OSError:
            continue
    return used


@dataclass(frozen=True, slots=True)
class RunningProgram:
    """A running program: its number, its name, and the processor time it has had, in seconds."""

    number: int
    name: str
    seconds: float


RunningPrograms = Mapping[tuple[int, float], RunningProgram]
"""By process number and when it began: numbers are used again."""


def programs() -> RunningPrograms:
    """All other programs; of what they were called with nothing is read, since it may hold secrets."""
    found: dict[tuple[int, float], RunningProgram] = {}
    for process in psutil.process_iter(["pid", "name", "cpu_times", "create_time"]):
        told = process.info
        if told["cpu_times"] is None or told["pid"] == os.getpid():
            continue
        seconds = told["cpu_times"].user + told["cpu_times"].system
        found[told["pid"], told["create_time"]] = RunningProgram(
            told["pid"], _readable(told["name"]), seconds
        )
    return found


def _readable(name: str | None) -> str:
    """A program may call itself anything, a terminal's control sequences included."""
    return "".join(letter if letter.isprintable() else "?" for letter in name or "?")


def busiest(before: RunningPrograms, after: RunningPrograms) -> RunningProgram | None:
    """The program that had most processor time in between, with that time; None if none had any."""
    had = [
        RunningProgram(one.number, one.name, one.seconds - (before[key].seconds if key in before else 0.0))
        for key, one in after.items()
    ]
    return max((program for program in had if program.seconds > 0), key=lambda one: one.seconds, default=None)


def load(busy_ratio: float | None, most: RunningProgram | None, lasted_s: float) -> CheckFinding:
    """Whether what else runs here leaves a core for measuring. ``most`` is the busiest in ``lasted_s``."""
    cores = psutil.cpu_count() or 1
    return leaves_room(busy_ratio or 0.0, cores, most, lasted_s)


def leaves_room(busy_ratio: float, cores: int, most: RunningProgram | None, lasted_s: float) -> CheckFinding:
    """As ``load``, of a machine of so many cores."""
    told = f"{busy_ratio:.0%} of {cores} core{'s' * (cores > 1)} busy"
    share = most.seconds / lasted_s if most else 0.0
    named = most is not None and share >= BUSY_SHARE
    crowded = named and cores * (1 - busy_ratio) < FREE_CORES
    if not crowded and busy_ratio < BUSY_RATIO:
        return CheckFinding("other programs", told)
    if most is not None and named:
        told += f", most by {most.name} (process {most.number}, {share:.0%} of a core)"
    text = f"{told}: while it is, tests may be late and be thrown away"
    return CheckFinding("other programs", text, note=True)
