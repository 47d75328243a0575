"""Readings of an interface's counters, and the sources that they come from."""

from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from wire import records
from wire.ip_layer import ETHERNET_HEADER_BYTES


class CounterReading(Struct, frozen=True):
    """Counters of an interface, as the site sees them: ``received`` is down. None: the source does not know.

    Bytes include ``frame_bytes`` of each packet beyond the IP layer. ``carrier_losses`` counts the losses of
    the link. ``speed_bps`` is its negotiated speed. Readings of different ``generation`` cannot be compared:
    the interface was set up again in between.
    """

    received_bytes: int
    received_packets: int
    sent_bytes: int
    sent_packets: int
    received_errors: int | None = None
    received_drops: int | None = None
    sent_errors: int | None = None
    sent_drops: int | None = None
    carrier_losses: int | None = None
    carrier: bool | None = None
    speed_bps: float | None = None
    frame_bytes: int = ETHERNET_HEADER_BYTES
    generation: int = 0

    @property
    def received_ip_bytes(self) -> int:
        """Received bytes at the IP layer."""
        return self.received_bytes - self.frame_bytes * self.received_packets

    @property
    def sent_ip_bytes(self) -> int:
        """Sent bytes at the IP layer."""
        return self.sent_bytes - self.frame_bytes * self.sent_packets

    def since(self, earlier: "CounterReading") -> "CounterReading | Reset":
        """Counts since ``earlier``, with the present state."""
        if self.generation != earlier.generation:
            return Reset("the line's interface was set up again: its counters restarted")
        added = [_difference(getattr(self, name), getattr(earlier, name)) for name in _COUNTED]
        if any(value is not None and value < 0 for value in added):
            return Reset("a counter of the line went back: the interface was set up again")
        counted: dict[str, Any] = dict(zip(_COUNTED, added, strict=True))
        return replace(self, **counted)


_COUNTED = (
    "received_bytes",
    "received_packets",
    "sent_bytes",
    "sent_packets",
    "received_errors",
    "received_drops",
    "sent_errors",
    "sent_drops",
    "carrier_losses",
)


def _difference(now: int | None, before: int | None) -> int | None:
    return None if now is None or before is None else now - before


class Unavailable(Struct, frozen=True):
    """Reason for a person why the counters cannot be read."""

    detail: str


class Reset(Unavailable, frozen=True):
    """Restart of the counters between two readings: their difference is not known."""


class LineCounterSource(Protocol):
    """Source of the counters.

    ``kind`` is for the record of a measurement, ``interface`` the interface's name for people. Reading more
    often than each ``least_interval_s`` brings nothing new. A reading may be ``lag_s`` old; 0 where the
    counters are this machine's own.
    """

    kind: records.LineCounters
    interface: str
    least_interval_s: float
    lag_s: float

    def read(self) -> CounterReading | Unavailable:
        """Read the counters of this moment without waiting. Never raises.

        Counters of another machine (``snmp``) are unavailable: no test may be judged by counts of another
        time.
        """
        ...

    async def ask(self) -> CounterReading | Unavailable:
        """Get the newest counters, up to ``lag_s`` old, within seconds. Never raises.

        Two readings bound what a span of time added: one before it, and one ``lag_s`` after it.
        """
        ...
