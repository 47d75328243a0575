"""Timestamps and error estimates of STAMP packets (RFC 8762 section 4.2.1, RFC 4656 section 4.1.2).

On the wire a timestamp is a 64-bit word; here times are integer nanoseconds since the Unix epoch.
"""

import math

from msgspec import Struct

from wire.records import ClockReading

_NTP_EPOCH_BEFORE_UNIX_S = 2_208_988_800
_SECOND_NS = 1_000_000_000
_WORD_MASK = 2**64 - 1
_LARGEST_SCALE = 63


class ErrorEstimate(Struct, frozen=True):
    """Error of a clock as its owner states it: multiplier x 2^scale x 2^-32 seconds.

    ``synchronised``: to UTC by an external source (the S bit). ``ptp``: timestamps are PTPv2 truncated ones
    (the Z bit), otherwise NTP. A multiplier of 0 must not be sent (RFC 4656 section 4.1.2).
    """

    synchronised: bool = False
    scale: int = 0
    multiplier: int = 1
    ptp: bool = False

    @classmethod
    def from_seconds(cls, error_s: float, *, synchronised: bool) -> "ErrorEstimate":
        """Find the smallest estimate not below ``error_s``, or the largest that the field can have."""
        units = max(1, math.ceil(error_s * 2**32))
        scale = max(0, units.bit_length() - 8)
        # Rounding up may need one more bit: 0x1ff >> 1 is 0xff, and a remainder is left.
        multiplier = -(-units >> scale)
        if multiplier > 0xFF:
            scale, multiplier = scale + 1, -(-units >> (scale + 1))
        if scale > _LARGEST_SCALE:
            return cls(synchronised, _LARGEST_SCALE, 0xFF)
        return cls(synchronised, scale, multiplier)

    @classmethod
    def of_clock(cls, reading: ClockReading) -> "ErrorEstimate":
        """Convert a clock reading; the largest error where the clock is not synchronised or states none."""
        # The kernel's figure means nothing on a clock that runs free: the largest error there is.
        if not reading.synchronised or reading.max_error_us is None:
            return cls(reading.synchronised, _LARGEST_SCALE, 0xFF)
        return cls.from_seconds(reading.max_error_us / 1e6, synchronised=True)

    @classmethod
    def from_field(cls, field: int) -> "ErrorEstimate":
        """Read the 16-bit field."""
        return cls(bool(field & 0x8000), field >> 8 & 0x3F, field & 0xFF, bool(field & 0x4000))

    @property
    def field(self) -> int:
        """16-bit field of a packet."""
        return self.synchronised << 15 | self.ptp << 14 | self.scale << 8 | self.multiplier

    @property
    def seconds(self) -> float:
        """Estimated error in seconds."""
        return math.ldexp(self.multiplier, self.scale - 32)


def to_ntp(unix_ns: int) -> int:
    """Convert Unix nanoseconds to the nearest NTP 64-bit word."""
    since_1900 = unix_ns + _NTP_EPOCH_BEFORE_UNIX_S * _SECOND_NS
    # To the nearest: cut off, a time would come back one nanosecond earlier from the wire.
    return (since_1900 * 2**32 + _SECOND_NS // 2) // _SECOND_NS & _WORD_MASK


def to_unix_ns(word: int, estimate: ErrorEstimate) -> int:
    """Convert a timestamp word, in the format of its sender's error estimate, to Unix nanoseconds.

    NTP words are read as 1968 to 2104 (RFC 4330 section 3). PTP words count TAI: differences between stamps
    of one clock are right, but as a date they are 37 s off UTC.
    """
    seconds, fraction = word >> 32, word & 0xFFFF_FFFF
    if estimate.ptp:
        return seconds * _SECOND_NS + fraction
    # The first bit tells the era: in 2036 the word overflows to 0.
    if seconds < 2**31:
        seconds += 2**32
    nanoseconds = (fraction * _SECOND_NS + 2**31) >> 32
    return (seconds - _NTP_EPOCH_BEFORE_UNIX_S) * _SECOND_NS + nanoseconds
