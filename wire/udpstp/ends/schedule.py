"""Schedule of a load: two transmitters, each with a burst every interval (RFC 9946 §7.1).

Deadlines are absolute: a late packet does not delay the next ones. A delayed sender may catch up by three
packets, or by 2 ms where that is more (decision 4). Beyond that the whole schedule is shifted, and the shift
is counted as stall. Without this limit a burst after a stall would overflow the line's queue and look like
loss of the line.

Per transmitter the schedule keeps only the next deadline, and beside it the packets of a burst that has
begun. Every packet is handed out once, or never where its deadline is at or after ``end``.
"""

from msgspec import Struct

from wire.udpstp import rates
from wire.udpstp.pdu import SendingRate

# Measured: 300 ms of catching up read as 6 % loss on a good line. 2 ms are decision 4.
CATCH_UP_PACKETS = 3
CATCH_UP_NS = 2_000_000
WAKE_NS = 500_000
"""Bursts closer together than this are sent together: a wake-up for each costs more CPU time than sending."""

_S = 1_000_000_000
_NEVER = 1 << 62

_Group = tuple[int, int]
"""Size (UDP payload bytes as sent, already reduced for IPv6) and number of packets of that size."""


class _Transmitter(Struct):
    """One burst every interval; ``due`` does not advance while the transmitter is off."""

    interval_ns: int
    burst: tuple[_Group, ...]
    packets: int
    due: int

    @property
    def on(self) -> bool:
        return self.interval_ns > 0 and self.packets > 0


class Schedule:
    """Packets due from ``start`` (ns) until before ``end``; ``stall_ns`` is the sum of all shifts."""

    def __init__(self, rate: SendingRate, *, ipv6: bool, start: int, end: int) -> None:
        self.end = end
        self.stall_ns = 0
        self._ipv6 = ipv6
        self._pending: list[_Group] = []
        self._due = start
        self._transmitters: tuple[_Transmitter, ...] = ()
        self.set_rate(rate)

    def set_rate(self, rate: SendingRate) -> None:
        """Use these transmitters, each from its next deadline on."""
        # The deadline of a transmitter that was off is in the past: it starts with the other one.
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
        """Time of the next packet; ``end`` after the last one."""
        return min(self._due + self._lag, self.end)

    @property
    def done(self) -> bool:
        """True once every packet of the schedule has been taken."""
        return not self._pending and self._due >= self.end

    def next_size(self, now: int) -> int:
        """Size of the packet to send at ``now``, 0 for none; shifts the schedule where it is too late."""
        if not self._pending and not self._begin(now):
            return 0
        return self._pending[-1][0]

    def gather(self, size: int, most: int, now: int) -> tuple[int, int]:
        """Take up to ``most`` packets for one batch, the next packet being one of ``size``.

        Returns the number of packets of ``size``, and the size of a shorter one behind them or 0. A batch has
        packets of one burst, or of bursts that are sent together.
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
        """Take up to ``most`` packets of the next size, and return their number."""
        size, count = self._pending.pop()
        if count > most:
            self._pending.append((size, count - most))
        return min(count, most)

    def _begin(self, now: int) -> bool:
        if now < self.deadline or self._due >= self.end:
            return False
        late = now - self._due - self._allowed_lateness
        if late > 0:
            self._shift(late)
        if self._due >= self.end:
            return False
        self._burst(self._next, 1)
        return True

    def _shift(self, late: int) -> None:
        self.stall_ns += late
        for transmitter in self._transmitters:
            transmitter.due += late
        self._choose()

    def _join(self, now: int, room: int) -> bool:
        """Begin further due bursts that fit into ``room`` as a whole, where bursts are sent together."""
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
        """Choose the next transmitter, its deadline and the end of its turn; the first where both are due."""
        first, second = self._transmitters
        if first.on and (not second.on or first.due <= second.due):
            self._next, self._due = first, first.due
            self._turn_ends = second.due + 1 if second.on else _NEVER
        else:
            self._next, self._due = second, second.due if second.on else _NEVER
            self._turn_ends = first.due if first.on else _NEVER
