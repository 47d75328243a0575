"""Machine that is to measure, for a deployer: its interfaces, disk space and other programs, by psutil.

Only short-lived commands may import psutil: it takes 0.8 MB, too much for the resident agent (decision 11).
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

MOST_INTERFACES = 8
# Share of a core from which a program is named.
BUSY_SHARE = 0.25
# Free cores below which a sender has no core of its own to keep its pace.
FREE_CORES = 1.0
# Busy share of all cores from which a machine is busy, for any number of programs.
BUSY_RATIO = 0.8

_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_ELSEWHERE = {socket.AF_INET: "203.0.113.1", socket.AF_INET6: "2001:db8::1"}  # RFC 5737, RFC 3849
_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class NetworkInterface:
    """Network interface. ``on``: it is set up (IFF_UP); ``running``: it has a link, too."""

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
    """Interfaces of this process's network namespace, without link-local addresses."""
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
    """Outgoing interface of packets to ``address``; of any packet, if that is None or this machine's own."""
    # Connecting a UDP socket asks the kernel only: nothing is sent.
    # An address of this machine has no outgoing interface: then any address outside shows it.
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
    """List the interfaces, the outgoing one first."""
    others = sorted(
        (link for link in found if link != way_out and not link.loopback),
        key=lambda link: (not link.running, not link.on, link.name),
    )
    named = [str(link) for link in others]
    if way_out:
        named.insert(0, f"{way_out} is the outgoing one")
    if len(named) > MOST_INTERFACES:
        named[MOST_INTERFACES:] = [f"and {len(named) - MOST_INTERFACES} more"]
    if way_out:
        return CheckFinding("interfaces", "; ".join(named))
    text = "none is outgoing: is a cable connected, is there an address and a default route?"
    return CheckFinding("interfaces", "; ".join([*named, text]), note=True)


def forwards() -> bool:
    """True if this machine forwards packets of others, as a router does."""
    try:
        return _IP_FORWARD.read_text().strip() != "0"
    except OSError:
        return False


def counters_hint(chosen: LineCountersSettings, way_out: NetworkInterface | None, *, is_router: bool) -> str:
    """Advice for ``line_counters`` that are not set or do not work; empty if none is known."""
    if chosen.source == "inline" and way_out and chosen.interface != way_out.name:
        return f" (likely {way_out.name}, the outgoing one)"
    if chosen.source != "none":
        return ""
    if not is_router:
        return "; this machine forwards no packets of others: read the router's counters (source: snmp)"
    if way_out is None:
        return ""
    return (
        "; this machine forwards packets of others: if it does so for all of the site, set"
        f" line_counters.source to inline and interface to {way_out.name}, the outgoing one"
    )


def space(place: Path, journal: Path, size: int) -> CheckFinding:
    """Compare the free space at ``place`` with a journal of ``size`` bytes, and look if the disk is one.

    ``place`` is its directory, or the one in which that would be made.
    """
    try:
        free = psutil.disk_usage(str(place)).free
    except OSError as error:
        return CheckFinding("space", f"{place}: {error.strerror}", note=True)
    kind = file_system(place, [(disk.mountpoint, disk.fstype) for disk in psutil.disk_partitions(all=True)])
    return room(place, kind, free, max(0, size - _used(journal)))


def room(place: Path, kind: str, free: int, wanted: int) -> CheckFinding:
    """Finding about ``free`` bytes on a file system where the journal may still take ``wanted``."""
    found = f"{amount(free)} free at {place}, the journal may still take {amount(wanted)}"
    if free < wanted:
        return CheckFinding("space", f"{found}: make room there, or lower journal.size", Exit.CANNOT_CREATE)
    if kind in _IN_MEMORY:
        text = f"{place} is in memory ({kind}): unsent measurements are lost when this machine stops"
        return CheckFinding("space", f"{text}; give journal.path a place on a disk", note=True)
    return CheckFinding("space", found)


def file_system(place: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """Type of the file system that ``place`` is on: the last mount on a directory hides earlier ones."""
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
    """Running program: its process number, its name, and its processor time in seconds."""

    number: int
    name: str
    seconds: float


# Programs by process number and start time, since numbers are reused.
RunningPrograms = Mapping[tuple[int, float], RunningProgram]


def programs() -> RunningPrograms:
    """All other programs. Their arguments are not read, because these may be secrets."""
    found: dict[tuple[int, float], RunningProgram] = {}
    for process in psutil.process_iter(["pid", "name", "cpu_times", "create_time"]):
        info = process.info
        if info["cpu_times"] is None or info["pid"] == os.getpid():
            continue
        seconds = info["cpu_times"].user + info["cpu_times"].system
        found[info["pid"], info["create_time"]] = RunningProgram(
            info["pid"], _readable(info["name"]), seconds
        )
    return found


def _readable(name: str | None) -> str:
    # A program can name itself anything, including control sequences of a terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in name or "?")


def busiest(before: RunningPrograms, after: RunningPrograms) -> RunningProgram | None:
    """Program with the most processor time in between, with that time; None if none had any."""
    had = [
        RunningProgram(one.number, one.name, one.seconds - (before[key].seconds if key in before else 0.0))
        for key, one in after.items()
    ]
    return max((program for program in had if program.seconds > 0), key=lambda one: one.seconds, default=None)


def load(busy_ratio: float | None, most: RunningProgram | None, lasted_s: float) -> CheckFinding:
    """Judge if other programs leave a core for measuring. ``most`` is the busiest within ``lasted_s``."""
    cores = psutil.cpu_count() or 1
    return leaves_room(busy_ratio or 0.0, cores, most, lasted_s)


def leaves_room(busy_ratio: float, cores: int, most: RunningProgram | None, lasted_s: float) -> CheckFinding:
    """As ``load``, for a machine with this number of cores."""
    busy = f"{busy_ratio:.0%} of {cores} core{'s' * (cores > 1)} busy"
    share = most.seconds / lasted_s if most else 0.0
    named = most is not None and share >= BUSY_SHARE
    crowded = named and cores * (1 - busy_ratio) < FREE_CORES
    if not crowded and busy_ratio < BUSY_RATIO:
        return CheckFinding("other programs", busy)
    if most is not None and named:
        busy += f", most by {most.name} (process {most.number}, {share:.0%} of a core)"
    text = f"{busy}: tests on a busy machine may be late, and invalid"
    return CheckFinding("other programs", text, note=True)
