"""What a load receiver that is also the reporting client sees of a load: every packet, to the nanosecond."""

from msgspec import Struct

from wire.udpstp.batches import LoadRun
from wire.udpstp.load import LoadInterval
from wire.udpstp.receiver import Arrival

INTERVAL_NS = 50_000_000
MOST_INTERVALS = 20 * 3600


class _Bin(Struct):
    datagrams: int = 0
    payload_bytes: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    delay_sum: int = 0
    delay_count: int = 0
    delay_min: int = 0
    delay_max: int = 0

    def delay(self, value: int, count: int) -> None:
        self.delay_min = min(self.delay_min, value) if self.delay_count else value
        self.delay_max = max(self.delay_max, value) if self.delay_count else value
        self.delay_sum += value * count
        self.delay_count += count


class ArrivalSeries:
    """Bins arrivals by receive stamp and reads the sender's behaviour from sequence numbers and send stamps.

    ``spacing_ns`` is the mean time between packets of the plan. ``first_sequence`` is that of the first
    packet of the load, 1 unless the sender began at another rate.
    """

    def __init__(self, *, overhead: int, spacing_ns: float) -> None:
        self.packets = self.payload_bytes = self.duplicated = self.reordered = 0
        self.first_sequence = 1
        self.highest = 0
        self.first_wall = self.last_wall = 0
        self.first_sent = self.last_sent = 0
        self.longest_gap_ns = 0
        self._lateness_least = self._lateness_most = 0.0
        self._overhead = overhead
        self._spacing = spacing_ns
        self._delay_minimum = 0
        self._bins: list[_Bin] = []

    def begin(self, first_sequence: int, sequence: int, wall: int, sent: int) -> None:
        """The first packet to arrive: send stamp ``sent``, receive stamp ``wall`` (Unix ns).

        It need not be the first that was sent: when that one left is inferred from the plan, lest those lost
        before it read as a sender that began late.
        """
        self.first_sequence = first_sequence
        self.highest = first_sequence - 1
        self.first_wall = self.last_wall = wall
        self.first_sent = sent - round((sequence - first_sequence) * self._spacing)
        self.last_sent = sent
        self._delay_minimum = wall - sent

    def add(self, run: LoadRun, arrival: Arrival, wall: int) -> None:
        """Count Load PDUs of the load with the receive stamp ``wall``; what is not in order comes alone."""
        interval = self._bin(wall)
        self.packets += run.count
        self.payload_bytes += run.payload * run.count
        interval.datagrams += run.count
        interval.payload_bytes += run.payload * run.count
        self.last_wall = max(self.last_wall, wall)
        if arrival is Arrival.DUPLICATE:
            self.duplicated += 1
            interval.duplicated += 1
        elif arrival is Arrival.LATE:
            self.reordered += 1
            interval.reordered += 1
            interval.lost -= interval.lost > 0
        else:
            self._in_order(interval, run, wall)

    def _bin(self, wall: int) -> _Bin:
        index = min(max(wall - self.first_wall, 0) // INTERVAL_NS, MOST_INTERVALS - 1)
        while len(self._bins) <= index:
            self._bins.append(_Bin())
        return self._bins[index]

    def _in_order(self, interval: _Bin, run: LoadRun, wall: int) -> None:
        missing = run.first - self.highest - 1
        interval.lost += missing
        delay = wall - run.sent
        interval.delay(delay, run.count)
        self._delay_minimum = min(self._delay_minimum, delay)
        if not missing:
            self.longest_gap_ns = max(self.longest_gap_ns, run.sent - self.last_sent)
        self.highest, self.last_sent = run.last, run.sent
        # Of packets that left together the first is the latest against its schedule.
        self._lateness_most = max(self._lateness_most, self._lateness(run.first, run.sent))
        self._lateness_least = min(self._lateness_least, self._lateness(run.last, run.sent))

    def _lateness(self, sequence: int, sent: int) -> float:
        return sent - self.first_sent - (sequence - self.first_sequence) * self._spacing

    def stall_ns(self, allowed_ns: int) -> int:
        """How far the sender drifted from its schedule, beyond what it may catch up."""
        return max(int(self._lateness_most - self._lateness_least) - allowed_ns, 0)

    def intervals(self) -> tuple[LoadInterval, ...]:
        """The series, delays above the smallest of all."""
        return tuple(self._interval(index, interval) for index, interval in enumerate(self._bins))

    def _interval(self, index: int, interval: _Bin) -> LoadInterval:
        count = interval.delay_count
        low = self._delay_minimum
        return LoadInterval(
            offset_us=index * INTERVAL_NS // 1000,
            duration_us=INTERVAL_NS // 1000,
            datagrams=interval.datagrams,
            ip_bytes=interval.payload_bytes + interval.datagrams * self._overhead,
            lost=interval.lost,
            reordered=interval.reordered,
            duplicated=interval.duplicated,
            delay_mean_us=(interval.delay_sum / count - low) / 1000 if count else None,
            delay_min_us=(interval.delay_min - low) / 1000 if count else None,
            delay_max_us=(interval.delay_max - low) / 1000 if count else None,
        )
