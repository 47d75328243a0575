"""Readings of the line's counters: what an interface has counted, and where such readings come from."""

from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from wire import records
from wire.ip_layer import ETHERNET_HEADER_BYTES


class CounterReading(Struct, frozen=True):
    """What an interface has counted, seen from the site: ``received`` is down. None: the source cannot tell.

    Bytes hold ``frame_bytes`` of each packet beyond the IP layer. ``carrier_losses`` counts how often the
    link went down, ``speed_bps`` is what it negotiated. Two readings of different ``generation`` have
    nothing in common: the interface was set up anew in between.
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
        """What was added since ``earlier``, in the state that is now."""
        if self.generation != earlier.generation:
            return Reset("the line's interface was set up anew: its counters began again")
        added = [_difference(getattr(self, name), getattr(earlier, name)) for name in _COUNTED]
        if any(value is not None and value < 0 for value in added):
            return Reset("a counter of the line went back: the interface was set up anew")
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
    """Why the counters cannot be read, for a person."""

    detail: str


class Reset(Unavailable, frozen=True):
    """The counters began anew between two readings, so that what was added cannot be told."""


class LineCounterSource(Protocol):
    """Where the counters come from.

    ``kind`` is what a measurement says of how the site's own traffic was known, ``interface`` the
    interface's name for people. ``least_interval_s`` is how often it may be read without more work than
    news, ``lag_s`` how far what it tells may lie behind: 0 where the counters are this machine's own.
    """

    kind: records.LineCounters
    interface: str
    least_interval_s: float
    lag_s: float

    def read(self) -> CounterReading | Unavailable:
        """The counters of this very moment, without waiting: unavailable where that takes a question to
        somebody else (``snmp``), so that no test is judged by what was counted at another time.

        Never raises.
        """
        ...

    async def ask(self) -> CounterReading | Unavailable:
        """The newest counters, waiting for whoever has them: seconds at most, with ``snmp``.

        The reading may lie up to ``lag_s`` behind: who wants to know what a span of time added at most asks
        before it, and again ``lag_s`` after it. Never raises.
        """
        ...
