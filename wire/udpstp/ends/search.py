"""Search for the capacity, run by the server for a client of this program (RFC 9097 §8.1, RFC 9946 §5.1).

Algorithms B and C judge each trial interval by fixed thresholds: 30 and 90 ms of mean delay, ten lost
packets.
On a path with jitter or random loss they stop far below the line. They also swing: half idle between two
swings, a line of 4 Mbit/s delivers 3.7 in every second. A client of this program gets the same algorithms fed
with signs that a full line alone gives, a foreign one those of the standard. For both the end is held:

| phase | rate |
|---|---|
| search | by the algorithm, from the signs below |
| hold, the last seconds after a full line was seen | what it delivered and 5 % more; faster without a queue |

| sign | read as | hence no sign |
|---|---|---|
| delay | least of the interval, above its level while all that is offered arrives | jitter, a longer path |
| loss | packets lost beyond the share that is lost at lower rates | random loss |

In the hold the queue never empties, so that what arrives in a whole second is the line's capacity.
"""

from collections import deque
from math import ceil, floor, sqrt

from msgspec import Struct

from wire.udpstp import pdu, rates
from wire.udpstp.ends.rate_control import RateAlgorithm, RateControl, Sign, TrialInterval, rate_algorithm
from wire.udpstp.pdu import SendingRate
from wire.udpstp.rates import DEFAULT_TABLE, RateTable

_S = 1_000_000_000
HOLD_S, HOLD_SHARE = 2.8, 0.45
"""Length of the hold: a whole second of the record's, wherever it begins, after the queue has built up."""

OVER = 1.05
"""Rate of the hold, as a multiple of the rate delivered by a full line."""

QUEUE_MS, DEEP_MS = 10, 100
STILL_MS, STILL_INTERVALS, ARRIVED_SHARE = 20, 6, 0.97
WINDOW = 6
MOST_LOSS = 0.3
LOWER_SHARE, LEAST_LOWER_PACKETS = 0.75, 200
LOSS_SIGN = 0.005


class _Heard(Struct, frozen=True):
    """One trial interval: row asked for, packets and bits received, packets lost, least delay in ms."""

    row: int
    packets: int
    bits: float
    duration_us: int
    lost: int
    delay_ms: int | None

    @property
    def bps(self) -> float:
        return self.bits * 1e6 / self.duration_us if self.duration_us else 0.0


class RateSearch:
    """Search of one test: the present ``row``. ``hold_from`` is the time (ns) at which the hold begins.

    ``overhead`` is the bytes of IP and UDP headers.
    """

    def __init__(
        self,
        activation: pdu.Activation,
        highest_row: int,
        *,
        start: int = 0,
        table: RateTable = DEFAULT_TABLE,
        overhead: int = 28,
    ) -> None:
        self.algorithm: RateAlgorithm = rate_algorithm(activation, highest_row)
        self.row = self.algorithm.row
        self.table = table
        self._activation = activation
        self._highest = highest_row
        self._overhead = overhead
        # A foreign client has no table of one packet size. It asked for the thresholds of the standard.
        self._is_ours = table.packet_bytes is not None
        self._hold_from = start + round(
            (activation.test_s - min(HOLD_S, HOLD_SHARE * activation.test_s)) * _S
        )
        self._recent: deque[_Heard] = deque(maxlen=max(WINDOW, STILL_INTERVALS))
        self._by_row: dict[int, list[int]] = {}
        self._level_ms: int | None = None
        self._full_bps = 0.0
        self._full: deque[_Heard] = deque(maxlen=WINDOW)
        self._held = False
        self._deep_ms = DEEP_MS

    def step(self, status: pdu.Status, now: int) -> int:
        """Process one trial interval, and return the row from now on."""
        heard = self._hear(status)
        is_full = self._is_full(heard)
        self._note_full(heard, is_full=is_full)
        if now >= self._hold_from and self._full_bps:
            self.row = self._hold(heard, is_full=is_full)
        else:
            plain = TrialInterval.of(status).sign(self._activation)
            self.row = self.algorithm.step(self._sign(heard) if self._is_ours else plain)
        return self.row

    def step_down(self) -> int:
        """Row after an interval without feedback."""
        self.row = self.algorithm.step(Sign.BAD)
        return self.row

    def _hear(self, status: pdu.Status) -> _Heard:
        known = status.delay_count > 0 and status.delay_min != pdu.NO_DELAY
        distinct = max(status.datagrams - status.duplicated, 0)
        share = distinct / status.datagrams if status.datagrams else 0.0
        heard = _Heard(
            self.row,
            distinct,
            (status.payload_bytes + status.datagrams * self._overhead) * 8 * share,
            status.interval_us,
            status.lost,
            status.delay_min if known else None,
        )
        if status.rtt_minimum != pdu.NO_DELAY:
            # A step takes effect a round trip later: the queue must last for longer.
            self._deep_ms = DEEP_MS + status.rtt_minimum // 4
        self._recent.append(heard)
        counts = self._by_row.setdefault(self.row, [0, 0])
        counts[0] += heard.packets
        counts[1] += heard.lost
        self._find_level()
        return heard

    def _find_level(self) -> None:
        """Take the present delay for that of the path, if it is still and all that was asked for arrives."""
        last = list(self._recent)[-STILL_INTERVALS:]
        delays = [one.delay_ms for one in last if one.delay_ms is not None]
        if not delays:
            return
        least = min(delays)
        if self._level_ms is None or least < self._level_ms:
            self._level_ms = least
        asked = sum(self._bps(one.row) * one.duration_us for one in last)
        arrived = sum(one.bits * 1e6 for one in last)
        is_still = len(delays) == STILL_INTERVALS and max(delays) - least <= STILL_MS
        if is_still and arrived >= ARRIVED_SHARE * asked and not self._held:
            self._level_ms = least

    def _bps(self, row: int) -> float:
        return rates.bits_per_second(self.table.sending_rate(row))

    def _queue_ms(self, heard: _Heard) -> int | None:
        if heard.delay_ms is None or self._level_ms is None:
            return None
        return max(0, heard.delay_ms - self._level_ms)

    def _excess(self, heard: _Heard) -> float:
        """Lost packets of an interval beyond those that chance takes at lower rates, too."""
        lower = [counts for row, counts in self._by_row.items() if row <= LOWER_SHARE * heard.row]
        packets, lost = (sum(counts[place] for counts in lower) for place in (0, 1))
        if packets + lost < LEAST_LOWER_PACKETS:
            return float(heard.lost)
        expected = lost / (packets + lost) * (heard.packets + heard.lost)
        return heard.lost - expected - 3 * sqrt(expected)

    def _is_full(self, heard: _Heard) -> bool:
        queue_ms = self._queue_ms(heard)
        sent = heard.packets + heard.lost
        return (queue_ms is not None and queue_ms >= QUEUE_MS) or (
            self._excess(heard) > max(1.0, LOSS_SIGN * sent) and heard.lost > 1
        )

    def _sign(self, heard: _Heard) -> Sign:
        """Judge an interval by the thresholds of the test, with the signs of this module."""
        activation, queue_ms = self._activation, self._queue_ms(heard)
        delay = activation.low_threshold if queue_ms is None else queue_ms
        # Ten lost packets are many of the few that a slow line carries in an interval.
        most = min(activation.sequence_error_threshold, max(2.0, 0.2 * (heard.packets + heard.lost)))
        lost = self._excess(heard)
        if lost > most or delay > activation.upper_threshold:
            return Sign.BAD
        return Sign.GOOD if delay < activation.low_threshold else Sign.HOLD

    def _note_full(self, heard: _Heard, *, is_full: bool) -> None:
        if not is_full:
            self._full.clear()
            return
        self._full.append(heard)
        if len(self._full) == WINDOW:
            bits = sum(one.bits for one in self._full)
            self._full_bps = max(self._full_bps, bits * 1e6 / sum(one.duration_us for one in self._full))

    def _hold(self, heard: _Heard, *, is_full: bool) -> int:
        """Row that keeps the queue standing."""
        if not self._held:
            self._held = True
            return self._bounded(self._full_bps * OVER)
        sent = heard.packets + heard.lost
        if sent and heard.lost > MOST_LOSS * sent:
            return self._bounded(heard.bps * OVER)
        queue_ms = self._queue_ms(heard) or 0
        if queue_ms >= self._deep_ms:
            # Deeper is of no use, and takes longer than the test to drain.
            return max(1, floor(self._full_bps / 1e6))
        if is_full:
            return self.row if queue_ms >= self._deep_ms / 2 else self._bounded(self._full_bps * OVER)
        # A row more, or 3 %: the queue is to come back within a few intervals.
        return self._bounded(max(self._bps(self.row) * 1.03, self._bps(self.row) + 1))

    def _bounded(self, bps: float) -> int:
        return max(1, min(ceil(bps / 1e6), self._highest))


class LocalSearch(RateControl):
    """Search by the server itself, down: each Status is one step (RFC 9946 §5.1)."""

    def __init__(self, activation: pdu.Activation, search: RateSearch, start: int) -> None:
        self._search = search
        super().__init__(activation, search.table.sending_rate(search.row), start, search.table)

    def _next_rate(self, status: pdu.Status, now: int) -> SendingRate:
        return self._table.sending_rate(self._search.step(status, now))

    def _step_down(self) -> int:
        return self._search.step_down()
