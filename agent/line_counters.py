"""The site's own traffic, read from the line's byte counters, so that a test under load is not misjudged.

Where the agent stands decides what it can know: ``inline`` sees all traffic of the site on one interface,
``directory`` reads counters laid out like /sys/class/net/<interface>/statistics (a router's mount), ``none``
knows nothing and says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.settings import LineCounters
from wire import records
from wire.ip_layer import ETHERNET_HEADER_BYTES


@dataclass(frozen=True, slots=True)
class CounterReading:
    """Bytes (link-layer header included) and packets, seen from the site: ``received`` is down."""

    received_bytes: int
    received_packets: int
    sent_bytes: int
    sent_packets: int

    @property
    def received_ip_bytes(self) -> int:
        """Received bytes at the IP layer."""
        return self.received_bytes - ETHERNET_HEADER_BYTES * self.received_packets

    @property
    def sent_ip_bytes(self) -> int:
        """Sent bytes at the IP layer."""
        return self.sent_bytes - ETHERNET_HEADER_BYTES * self.sent_packets

    def since(self, earlier: "CounterReading") -> "CounterReading | Unavailable":
        """What was added since ``earlier``; unavailable if a counter went back (interface re-created)."""
        added = CounterReading(
            self.received_bytes - earlier.received_bytes,
            self.received_packets - earlier.received_packets,
            self.sent_bytes - earlier.sent_bytes,
            self.sent_packets - earlier.sent_packets,
        )
        if min(added.received_bytes, added.received_packets, added.sent_bytes, added.sent_packets) < 0:
            return Unavailable("a counter of the line went back: the interface was set up anew")
        return added


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why the counters cannot be read, for a person."""

    detail: str


class LineCounterSource(Protocol):
    """``kind`` is what a measurement says of how the site's own traffic was known."""

    kind: records.LineCounters

    def read(self) -> CounterReading | Unavailable:
        """The counters now. Never raises."""
        ...


def source_of(chosen: LineCounters) -> LineCounterSource:
    """The source that the settings ask for; they were checked to be complete."""
    if chosen.source == "inline":
        return InterfaceSource(chosen.interface or "")
    if chosen.source == "directory":
        return DirectorySource(Path(chosen.path or ""))
    return NoSource()


class NoSource:
    """The agent stands beside the line and cannot see the site's own traffic."""

    kind = records.LineCounters.NONE

    def read(self) -> CounterReading | Unavailable:
        """Always unavailable."""
        return Unavailable("line_counters.source is none")


class InterfaceSource:
    """One network interface of this machine, by psutil."""

    kind = records.LineCounters.INLINE

    def __init__(self, interface: str) -> None:
        self._interface = interface

    def read(self) -> CounterReading | Unavailable:
        """The interface's counters. Loopback is refused: it would count the probe's own bytes twice."""
        import psutil  # loaded only where the settings ask for it: a megabyte of the resident agent

        state = psutil.net_if_stats().get(self._interface)
        if state is None:
            return Unavailable(f"no interface {self._interface} here: mend line_counters.interface")
        if "loopback" in state.flags.split(","):
            return Unavailable(
                f"{self._interface} is a loopback, which counts every byte of a test twice:"
                " set line_counters.interface to the one that carries the site's traffic"
            )
        counted = psutil.net_io_counters(pernic=True, nowrap=False).get(self._interface)
        if counted is None:
            return Unavailable(f"interface {self._interface} has no counters")
        return CounterReading(
            counted.bytes_recv, counted.packets_recv, counted.bytes_sent, counted.packets_sent
        )


class DirectorySource:
    """Four files of decimal text: rx_bytes, rx_packets, tx_bytes, tx_packets."""

    kind = records.LineCounters.INLINE

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> CounterReading | Unavailable:
        """The four files, one after the other."""
        try:
            return CounterReading(*(self._number(name) for name in _FILES))
        except OSError as error:
            return Unavailable(f"line_counters.path: {error.filename or self._path}: {error.strerror}")
        except ValueError:
            return Unavailable(f"line_counters.path: {self._path}: holds something that is no counter")

    def _number(self, name: str) -> int:
        with (self._path / name).open("rb") as file:
            return int(file.read(32))


_FILES = ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets")
