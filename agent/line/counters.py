"""Counters of the line (RFC 2863), read on this machine: traffic of the whole site, and the interface's
state.

| source | counters |
|---|---|
| ``inline`` | one interface of this machine, which all traffic of the site passes |
| ``directory`` | files laid out like /sys/class/net/<interface>/statistics, such as a router's mount |
| ``snmp`` | the router's, asked by SNMP (``agent.line.snmp_counters``) |
| ``none`` | none: the site's own traffic is not known |
"""

import fcntl
import math
import socket
import struct
from pathlib import Path

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.settings.sections import LineCountersSettings
from wire import records
from wire.ip_layer import ETHERNET_HEADER_BYTES

INTERFACES = Path("/sys/class/net")
LOCAL_INTERVAL_S = 0.1


def source_of(chosen: LineCountersSettings) -> LineCounterSource:
    """Source that the settings ask for; they were checked to be complete.

    Raises SettingsError if the file with the router's community cannot serve.
    """
    if chosen.source == "inline":
        return InterfaceSource(chosen.interface or "")
    if chosen.source == "directory":
        return DirectorySource(Path(chosen.path or ""))
    if chosen.source == "snmp" and chosen.snmp is not None:
        # Only here: most agents need no SNMP, whose modules take memory.
        from agent.line.snmp_counters import SnmpSource
        from agent.settings.file import snmp_community

        return SnmpSource(chosen.snmp, snmp_community(chosen.snmp))
    return NoSource()


class NoSource:
    """No counters: the agent cannot see the site's own traffic."""

    kind = records.LineCounters.NONE
    interface = "none"
    least_interval_s = math.inf
    lag_s = 0.0

    def read(self) -> CounterReading | Unavailable:
        """Return the reason: always unavailable."""
        return Unavailable("line_counters.source is none")

    async def ask(self) -> CounterReading | Unavailable:
        """Return the reason: always unavailable."""
        return self.read()


class InterfaceSource:
    """Network interface of this machine, in the network namespace of this process.

    It reads /proc/net/dev, as psutil does. psutil itself would take 0.8 MB of the resident agent (decision
    11).
    """

    kind = records.LineCounters.INLINE
    least_interval_s = LOCAL_INTERVAL_S
    lag_s = 0.0

    def __init__(self, interface: str) -> None:
        self.interface = interface

    def read(self) -> CounterReading | Unavailable:
        """Read the interface's counters. Loopback is refused: it would count a test's bytes twice."""
        try:
            counted, index = _counted(self.interface.encode()), socket.if_nametoindex(self.interface)
            flags, kind = _flags_and_kind(self.interface.encode())
        except (OSError, ValueError, LookupError):
            return Unavailable(
                f"this machine has no interface {self.interface}: correct line_counters.interface"
            )
        if flags & _LOOPBACK:
            return Unavailable(
                f"{self.interface} is a loopback, which counts every byte of a test twice:"
                " set line_counters.interface to the one that carries the site's traffic"
            )
        link = INTERFACES / self.interface
        known = _number(link / "ifindex") == index  # /sys may be that of another network namespace
        return CounterReading(
            received_bytes=counted[0],
            received_packets=counted[1],
            received_errors=counted[2],
            received_drops=counted[3],
            sent_bytes=counted[8],
            sent_packets=counted[9],
            sent_errors=counted[10],
            sent_drops=counted[11],
            carrier_losses=_number(link / "carrier_down_count") if known else None,
            carrier=bool(flags & _RUNNING),
            speed_bps=_speed(link) if known else None,
            frame_bytes=_frame_bytes(kind),
            generation=index,
        )

    async def ask(self) -> CounterReading | Unavailable:
        """As ``read``."""
        return self.read()


class DirectorySource:
    """Files of decimal text, named as in /sys/class/net/<interface>/statistics.

    Needed are rx_bytes, rx_packets, tx_bytes and tx_packets. Optional are rx_errors, rx_dropped,
    rx_missed_errors, tx_errors and tx_dropped. Optional too are carrier, carrier_down_count, ifindex, speed
    (Mbit/s) and type, beside a directory named ``statistics`` or else in it.
    """

    kind = records.LineCounters.INLINE
    least_interval_s = LOCAL_INTERVAL_S
    lag_s = 0.0

    def __init__(self, path: Path) -> None:
        self._path = path
        kernels = path.name == "statistics"
        self._link = path.parent if kernels else path
        self.interface = path.parent.name if kernels else str(path)

    def read(self) -> CounterReading | Unavailable:
        """Read the files, one after the other. A loopback is refused here, too."""
        try:
            # The four that every rate needs; an interface without them is of no use.
            received, packets, sent, sent_packets = (self._needed(name) for name in _FILES)
        except OSError as error:
            return Unavailable(f"line_counters.path: {error.filename or self._path}: {error.strerror}")
        except ValueError:
            return Unavailable(f"line_counters.path: {self._path}: a file there has no number in it")
        kind = _number(self._link / "type")
        if kind == _LOOPBACK_KIND:
            return Unavailable(
                f"{self._path} belongs to a loopback, which counts every byte of a test twice:"
                " set line_counters.path to the one that carries the site's traffic"
            )
        return CounterReading(
            received,
            packets,
            sent,
            sent_packets,
            received_errors=_number(self._path / "rx_errors"),
            received_drops=_sum(self._path, "rx_dropped", "rx_missed_errors"),
            sent_errors=_number(self._path / "tx_errors"),
            sent_drops=_number(self._path / "tx_dropped"),
            carrier_losses=_number(self._link / "carrier_down_count"),
            carrier=_carrier(self._link / "carrier"),
            speed_bps=_speed(self._link),
            frame_bytes=_frame_bytes(kind),
            generation=_number(self._link / "ifindex") or 0,
        )

    async def ask(self) -> CounterReading | Unavailable:
        """As ``read``."""
        return self.read()

    def _needed(self, name: str) -> int:
        # A counter has at most 20 digits: a file without end must not fill the memory.
        with (self._path / name).open("rb") as file:
            return int(file.read(32))


_FILES = ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets")
_INTERFACE_FLAGS, _HARDWARE_KIND = 0x8913, 0x8927  # SIOCGIFFLAGS, SIOCGIFHWADDR: netdevice(7)
_REQUEST = struct.Struct("16sH22x")
_LOOPBACK, _RUNNING = 0x8, 0x40  # IFF_*
_LOOPBACK_KIND = 772  # ARPHRD_LOOPBACK
# ARPHRD_* of linux/if_arp.h whose devices carry bare IP packets and count them so: PPP, raw IP (mobile
# modems), IP-in-IP, IP in IPv6 (DS-Lite), IPv6-in-IPv4, GRE over either, and none (TUN, WireGuard).
_BARE_IP = frozenset({512, 519, 768, 769, 776, 778, 823, 65534})


def _counted(interface: bytes) -> list[int]:
    """Sixteen numbers of one interface. Raises LookupError if there is none of that name."""
    with Path("/proc/net/dev").open("rb") as file:
        for line in file:
            name, _, numbers = line.partition(b":")
            if name.strip() == interface:
                return [int(number) for number in numbers.split()]
    raise LookupError


def _flags_and_kind(interface: bytes) -> tuple[int, int]:
    """IFF_* flags and ARPHRD_* type of an interface. Raises OSError if there is none of that name."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        found = [
            fcntl.ioctl(sock, request, _REQUEST.pack(interface, 0))
            for request in (_INTERFACE_FLAGS, _HARDWARE_KIND)
        ]
    flags, kind = (_REQUEST.unpack(one)[1] for one in found)
    return flags, kind


def _frame_bytes(kind: int | None) -> int:
    """Bytes that the kernel counts of each packet beyond the IP layer, without the frame check sequence."""
    return 0 if kind in _BARE_IP else ETHERNET_HEADER_BYTES


def _speed(link: Path) -> float | None:
    """Negotiated speed in bit/s."""
    # In Mbit/s; drivers that do not know it report -1.
    speed = _number(link / "speed") or 0
    return speed * 1e6 if speed > 0 else None


def _number(path: Path) -> int | None:
    """Number in a file, None where there is none: sysfs answers EINVAL for an unknown value."""
    try:
        with path.open("rb") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return None


def _carrier(path: Path) -> bool | None:
    # The kernel refuses the carrier of an interface that is down (EINVAL): that is no carrier.
    return _number(path) == 1 if path.exists() else None


def _sum(folder: Path, *names: str) -> int | None:
    """Sum of the files that are there; None if none is."""
    found = [value for name in names if (value := _number(folder / name)) is not None]
    return sum(found) if found else None
