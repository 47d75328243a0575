"""Counters of an interface, continued where they wrap, from one reading to the next (RFC 2863 section 3.1.6).

A counter of *n* bits counts modulo 2^n. Its growth is known while it is below half of that.

| growth since the last reading, modulo 2^n | meaning |
|---|---|
| below 2^(n-1), and the line could not have carried as much more | growth |
| slightly back: by 1 s of the interface's speed at most | nothing: agents with several caches do that |
| anything else | the counters were reset: nothing is known of the time between |

32 bits of octets wrap within 34 s at 1 Gbit/s. Readings that are too far apart for them make a reset, too.
"""

from msgspec.structs import replace

from wire.snmp.interface_mib import InterfaceState

UNKNOWN_SPEED_BPS = 1e9
LEAST_PACKET_BYTES = 64
LEAST_BACKWARDS_BYTES = 1_000_000
# Age of a reading at most: two readings may be so much further apart than their answers.
CACHE_S = 5.0

_OCTETS = ("received_octets", "sent_octets")
_PACKETS = ("received_packets", "sent_packets")
_FAULTS = ("received_errors", "received_discards", "sent_errors", "sent_discards")


class ContinuedCounters:
    """Continues the counters of one interface. ``resets`` counts what could not be continued."""

    def __init__(self) -> None:
        self.resets = 0
        self._raw: InterfaceState | None = None
        self._continued: InterfaceState | None = None
        self._at_s = 0.0

    def forget(self) -> None:
        """Begin with another interface."""
        self._raw = self._continued = None
        self.resets += 1

    @property
    def name(self) -> str | None:
        """Name of the interface last read; None before."""
        return None if self._raw is None else self._raw.name

    def take(self, raw: InterfaceState, now_s: float) -> InterfaceState:
        """Continue with a reading made at ``now_s``; returns it with counters that never wrap."""
        before, continued, elapsed_s = self._raw, self._continued, now_s - self._at_s
        self._at_s = now_s
        if before is None or continued is None or before.bits != raw.bits:
            self.resets += before is not None
            self._raw = self._continued = raw
            return raw
        added = _added(raw, before, elapsed_s + CACHE_S)
        following = None
        if added is not None:
            # A counter that stepped back keeps its highest value, from which it goes on.
            kept = {name: getattr(before, name) for name, count in added.items() if count < 0}
            counts = {name: getattr(continued, name) + max(count, 0) for name, count in added.items()}
            following = replace(raw, **counts)
            raw = replace(raw, **kept)
        if following is None or following.counters_reset_since(continued):
            self.resets += 1
            following = raw
        self._raw, self._continued = raw, following
        return following


def _added(raw: InterfaceState, before: InterfaceState, elapsed_s: float) -> dict[str, int] | None:
    """Growth of each counter; negative for a slight step back, None for a reset."""
    speed_bps = raw.speed_bps or UNKNOWN_SPEED_BPS
    back = max(LEAST_BACKWARDS_BYTES, round(speed_bps / 8))
    carried = speed_bps / 8 * elapsed_s
    added: dict[str, int] = {}
    for names, bits, unit in (
        (_OCTETS, raw.bits.octets, 1), (_PACKETS, raw.bits.packets, LEAST_PACKET_BYTES), (_FAULTS, 32, 1500)
    ):  # fmt: skip
        if not bits:
            continue
        half = 1 << (bits - 1)
        if bits == 32 and unit < 1500 and carried / unit >= half:
            return None
        for name in names:
            now, earlier = getattr(raw, name), getattr(before, name)
            if now is None or earlier is None:
                continue
            growth = (now - earlier + half) % (2 * half) - half
            if growth < -back // unit:
                return None
            added[name] = growth
    return added
