"""Record of a change of the agent's wall clock, with its offset to CLOCK_BOOTTIME."""

from wire.records.attempt import Measurement, Values
from wire.records.vocabulary import ClockChange, Micros, Signed


class ClockValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """The wall clock less CLOCK_BOOTTIME after the change, and before it where the agent saw that.

    Of the boot, and with the maximum error, that the measurement's ``start`` names. Measurements of the same
    boot are placed in time by it: they are never rewritten.
    ``peer_offset_us`` is present only where the wall clock is not synchronised. It is the time in
    authenticated STAMP replies of a peer whose clock is synchronised, less CLOCK_BOOTTIME. It was right
    within ``peer_error_us`` when CLOCK_BOOTTIME was ``peer_boot_us``.
    """

    change: ClockChange
    offset_us: Signed
    before_us: Signed | None = None
    peer_offset_us: Signed | None = None
    peer_error_us: Micros | None = None
    peer_boot_us: Micros | None = None


class ClockMeasurement(Measurement, frozen=True, kw_only=True, tag="clock"):
    """A change of the agent's wall clock."""

    values: ClockValues | None = None
