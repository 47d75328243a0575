"""When which packets of a load are due: two transmitters, each a burst every interval (RFC 9946 §7.1).

Deadlines are absolute, so that a late packet does not make the ones behind it late. A sender that was held
up may catch up by three packets, or two milliseconds' worth where that is more; beyond that the schedule is
put off and the time told as stall. A burst after a stall would overflow the line's queue and read as its
loss.
"""

from msgspec import Struct

from wire.udpstp import rates
from wire.udpstp.pdu import SendingRate

CATCH_UP_PACKETS = 3
CATCH_UP_NS = 2_000_000
WAKE_NS = 500_000
"""Bursts that are closer together leave together: waking for each would cost more than sending them."""

_S = 1_000_000_000
_NEVER = 1 << 62

_Group = tuple[int, int]
"""A size (UDP payload bytes as sent, over IPv6 already reduced) and how many packets have it."""


class _Transmitter(Struct):
    """One burst every interval; ``due`` stands still while it is off."""

    interval_ns: int
    burst: tuple[_Group, ...]
    packets: int
    due: int

    @property
    def on(self) -> bool:
        return self.interval_ns > 0 and self.packets > 0


class Schedule:
    """Packets from ``start`` (ns) until ``end``: nothing that is due at ``end`` or later is handed out."""

    def __init__(self, rate: SendingRate, *, ipv6: bool, start: int, end: int) -> None:
        self.end = end
        self.stall_ns = 0
        self._ipv6 = ipv6
        self._pending: list[_Group] = []
        self._due = start
        self._transmitters: tuple[_Transmitter, ...] = ()
        self.set_rate(rate)

    def set_rate(self, rate: SendingRate) -> None:
        """Go on with these transmitters from each one's next deadline."""
        # The deadline of one that was off stands still: it starts with the other's.
        running = self._next.due if self._transmitters else self._due
        dues = [one.due if one.on else running for one in self._transmitters] or [running, running]
        self._transmitters = (
            self._transmitter(rate.interval_1_us, rate.payload_1, rate.burst_1, 0, dues[0]),
            self._transmitter(rate.interval_2_us, rate.payload_2, rate.burst_2, rate.addon_2, dues[1]),
        )
        self._lag = max(WAKE_NS - rate.interval_1_us * 1000, 0) if self._transmitters[0].on else 0
        packets = rates.packets_per_second(rate)
        spacing = _S / packets if packets else 0
        self._allowed_lateness = max(int(CATCH_UP_PACKETS * spacing), CATCH_UP_NS)
        self._choose()

    def _transmitter(
        self, interval_us: int, payload: int, packets: int, addon: int, due: int
    ) -> _Transmitter:
        groups = [(size, count) for size, count in ((payload, packets), (addon, 1)) if size and count]
        sent = tuple((rates.over_ipv6(size) if self._ipv6 else size, count) for size, count in groups)
        return _Transmitter(interval_us * 1000, sent, sum(count for _, count in sent), due)

    @property
    def deadline(self) -> int:
        """When to send next; after the last packet, ``end``."""
        return min(self._due + self._lag, self.end)

    @property
    def done(self) -> bool:
        """Whether every packet of the schedule was taken."""
        return not self._pending and self._due >= self.end

    def next_size(self, now: int) -> int:
        """The size of the packet to send at ``now``, 0 for none. What is too late puts the schedule off."""
        if not self._pending and not self._begin(now):
            return 0
        return self._pending[-1][0]

    def gather(self, size: int, most: int, now: int) -> tuple[int, int]:
        """Take up to ``most`` of what may go together, the next packet being one of ``size``.

        Gives how many packets of ``size``, and the size of a shorter one behind them, or 0. Only packets of
        one burst go together, or of bursts that leave together.
        """
        whole = 0
        while whole < most and (self._pending or self._join(now, most - whole)):
            following = self._pending[-1][0]
            if following > size:
                break
            if following < size:
                self.take(1)
                return whole, following
            whole += self.take(most - whole)
        return whole, 0

    def take(self, most: int) -> int:
        """Take up to ``most`` packets of the size that is next; how many there were."""
        size, count = self._pending.pop()
        if count > most:
            self._pending.append((size, count - most))
        return min(count, most)

    def _begin(self, now: int) -> bool:
        if now < self.deadline or self._due >= self.end:
            return False
        late = now - self._due - self._allowed_lateness
        if late > 0:
            self._put_off(late)
        if self._due >= self.end:
            return False
        self._burst(self._next, 1)
        return True

    def _put_off(self, late: int) -> None:
        self.stall_ns += late
        for transmitter in self._transmitters:
            transmitter.due += late
        self._choose()

    def _join(self, now: int, room: int) -> bool:
        """Begin what further bursts are due, as far as they fit in whole, where bursts leave together."""
        transmitter, until = self._next, min(now + 1, self._turn_ends, self.end)
        if not self._lag or self._due >= until or transmitter.packets > room:
            return False
        bursts = 1
        if len(transmitter.burst) == 1:
            due = -(-(until - self._due) // transmitter.interval_ns)
            bursts = min(due, room // transmitter.packets)
        self._burst(transmitter, bursts)
        return True

    def _burst(self, transmitter: _Transmitter, bursts: int) -> None:
        transmitter.due += bursts * transmitter.interval_ns
        self._pending = [(size, count * bursts) for size, count in reversed(transmitter.burst)]
        self._choose()

    def _choose(self) -> None:
        """Which transmitter is next, when, and until when; the first one goes first where both are due."""
        first, second = self._transmitters
        if first.on and (not second.on or first.due <= second.due):
            self._next, self._due = first, first.due
            self._turn_ends = second.due + 1 if second.on else _NEVER
        else:
            self._next, self._due = second, second.due if second.on else _NEVER
            self._turn_ends = first.due if first.on else _NEVER
