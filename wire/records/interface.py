"""Record of the interface probe: a minute of the line's own counters."""

from msgspec import Struct

from wire.records.attempt import Measurement, Values
from wire.records.vocabulary import Count, LineCounters, Micros, Rate, Text


class InterfaceFlow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One direction, seen from the site, over the record's time; bytes and rates at the IP layer.

    ``mean_bps`` is over ``span_us``, ``peak_bps`` the greatest mean between two readings; of a router's
    counters, which lag behind, at least that. ``errors`` and ``drops`` are what the interface itself counted
    in that time; absent where it does not tell.
    """

    ip_bytes: Count
    packets: Count
    mean_bps: Rate
    peak_bps: Rate
    errors: Count | None = None
    drops: Count | None = None


class InterfaceValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """The interface that carries the site's traffic. ``source`` says who counted: this machine or its router.

    One record begins where the one before ended: at ``end_boot_us``, on CLOCK_BOOTTIME of the boot named in
    the measurement's ``start``. ``span_us`` is how much of the time up to there was counted: less than all
    of it where a counter restarted (``resets``). ``reading_us`` is the time between two readings.
    ``carrier`` is whether the link was up at the end, ``speed_bps`` the rate it negotiated.
    ``carrier_losses`` is the interface's own count of losses, or the readings' count where it keeps none.
    """

    source: LineCounters
    interface: Text
    readings: Count
    reading_us: Micros
    end_boot_us: Micros
    span_us: Micros
    down: InterfaceFlow
    up: InterfaceFlow
    resets: Count = 0
    carrier: bool | None = None
    carrier_losses: Count | None = None
    speed_bps: Rate | None = None


class InterfaceMeasurement(Measurement, frozen=True, kw_only=True, tag="interface"):
    """Traffic that the site sent and received, and packets that its interface refused."""

    values: InterfaceValues | None = None
