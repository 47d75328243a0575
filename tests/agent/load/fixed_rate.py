"""A fixed-rate test over an exact line, as the load cores would report it: for rules, without sockets."""

from bisect import bisect_right
from collections import Counter
from random import Random

from msgspec.structs import replace

from agent.line.readings import CounterReading, Unavailable
from agent.load.rules import own_traffic
from agent.load.rules.own_traffic import CounterMark, OwnTraffic
from lab.links.line import EmulatedLine, LineSettings
from wire.ip_layer import ETHERNET_HEADER_BYTES
from wire.records import Direction
from wire.udpstp.load import DrainSample, Ending, LoadInterval, LoadReport, LoadSoFar

PACKET_BYTES = 1000
INTERVAL_NS = 50_000_000
LOSS_BURST = 100


def run(
    line: LineSettings,
    rate_bps: float = 8e6,
    seconds: int = 2,
    direction: Direction = Direction.DOWN,
    other_bps: float = 0.0,
    other_burst: int = 1,
    bursty_loss: float = 0.0,
) -> tuple[LoadReport, OwnTraffic | Unavailable]:
    """Send at ``rate_bps`` for ``seconds`` beside ``other_bps`` of other traffic, in bursts of some packets.

    ``bursty_loss`` strikes behind the line, 100 packets in a row on average (Gilbert's model). Returns the
    report, and what line counters that were read every 100 ms tell of the other traffic.
    """
    report, marks = _crossed(line, rate_bps, seconds, direction, other_bps, other_burst, bursty_loss)
    return report, own_traffic.between(marks, report)


def marks_of(line: LineSettings, other_bps: float) -> list[CounterMark]:
    """Marks beside a test at 8 Mbit/s."""
    return _crossed(line, 8e6, 2, Direction.DOWN, other_bps, 1, 0.0)[1]


def _crossed(
    line: LineSettings,
    rate_bps: float,
    seconds: int,
    direction: Direction,
    other_bps: float,
    other_burst: int,
    bursty_loss: float,
) -> tuple[LoadReport, list[CounterMark]]:
    gap_ns = round(PACKET_BYTES * 8e9 / rate_bps)
    sent = [(index * gap_ns, True) for index in range(seconds * 10**9 // gap_ns)]
    if other_bps:
        other_gap = round(PACKET_BYTES * 8e9 / other_bps)
        sent += [
            (index // other_burst * other_burst * other_gap + 7, False)
            for index in range(seconds * 10**9 // other_gap)
        ]
    link = EmulatedLine(line)
    crossings: list[tuple[int, int, bool]] = []  # arrival, sending, ours
    for at, ours in sorted(sent):
        crossings += [(release.at, at, ours) for release in link.offer(at, PACKET_BYTES)]
    crossings = _thinned(crossings, bursty_loss, line.seed)
    arrivals = [(at, sent_at) for at, sent_at, ours in crossings if ours]
    report = _report(arrivals, sum(ours for _, ours in sent), gap_ns, rate_bps, seconds, direction)
    seen = [(at, ours) for at, _, ours in crossings] if direction is Direction.DOWN else sent
    return report, _marks(seen, seconds)


def _thinned(crossings: list[tuple[int, int, bool]], share: float, seed: int) -> list[tuple[int, int, bool]]:
    """Without what a channel lost that is now good, now dead."""
    random, kept, dead = Random(seed), [], False
    leave, enter = 1 / LOSS_BURST, share / (1 - share) / LOSS_BURST
    for crossing in crossings:
        dead = random.random() >= leave if dead else random.random() < enter
        if not dead:
            kept.append(crossing)
    return kept


def _marks(seen: list[tuple[int, bool]], seconds: int) -> list[CounterMark]:
    """Marks of the site's interface every 100 ms."""
    marks = []
    times = sorted(at for at, _ in seen)
    our_times = sorted(at for at, ours in seen if ours)
    for tenth in range(seconds * 10 + 1):
        passed, ours = (bisect_right(some, tenth * 10**8) for some in (times, our_times))
        counted_bytes = passed * (PACKET_BYTES + ETHERNET_HEADER_BYTES)
        counted = CounterReading(counted_bytes, passed, counted_bytes, passed)
        marks.append(CounterMark(tenth / 10, counted, LoadSoFar(ours * PACKET_BYTES, ours)))
    return marks


def _report(
    arrivals: list[tuple[int, int]],
    sent: int,
    gap_ns: int,
    rate_bps: float,
    seconds: int,
    direction: Direction,
) -> LoadReport:
    arrivals.sort()
    least = min((at - sent_at for at, sent_at in arrivals), default=0)
    unit = 1_000_000 if direction is Direction.UP else 1_000  # Status PDUs tell whole milliseconds
    intervals: dict[int, list[float]] = {}
    lost: Counter[int] = Counter()
    highest = -1
    for at, sent_at in arrivals:
        delay_us = round((at - sent_at - least) / unit) * unit / 1e3
        number = (at - arrivals[0][0]) // INTERVAL_NS
        intervals.setdefault(number, []).append(delay_us)
        lost[number] += max(0, sent_at // gap_ns - highest - 1)
        highest = max(highest, sent_at // gap_ns)
    return LoadReport(
        session="67-89",
        direction=direction,
        row=round(rate_bps / 1e6),
        planned_bps=round(rate_bps),
        planned_duration_us=seconds * 1_000_000,
        planned_packets=sent,
        ending=Ending.COMPLETED,
        sent_packets=sent,
        sent_ip_bytes=sent * PACKET_BYTES,
        send_span_us=(sent - 1) * gap_ns // 1000,
        received_packets=len(arrivals),
        received_ip_bytes=len(arrivals) * PACKET_BYTES,
        receive_span_us=(arrivals[-1][0] - arrivals[0][0]) // 1000 if arrivals else 0,
        lost=sent - len(arrivals),
        intervals=tuple(_interval(index, delays, lost[index]) for index, delays in intervals.items()),
        drain=tuple(DrainSample(offset_us, 0.0) for offset_us in range(0, 700_000, 4_000)),
        rtt_min_us=2 * least // 1000,
    )


def _interval(index: int, delays: list[float], lost: int) -> LoadInterval:
    return LoadInterval(
        offset_us=index * INTERVAL_NS // 1000,
        duration_us=INTERVAL_NS // 1000,
        datagrams=len(delays),
        ip_bytes=len(delays) * PACKET_BYTES,
        lost=lost,
        reordered=0,
        duplicated=0,
        delay_mean_us=sum(delays) / len(delays),
        delay_min_us=min(delays),
        delay_max_us=max(delays),
    )


def stalled(report: LoadReport, stall_us: int) -> LoadReport:
    """The same report from a sender that stood still for a while."""
    return replace(report, stall_us=stall_us)


def random_line(random: Random, rate: float, **changes: float) -> LineSettings:
    """A line of ``rate`` bit/s with realistic delay, jitter and a queue of 50 to 500 ms."""
    queue = round(rate / 8 * random.uniform(0.05, 0.5))
    return LineSettings(
        rate=round(rate),
        queue=max(queue, 4000),
        delay=round(random.uniform(1e6, 40e6)),
        jitter=round(random.uniform(0, 5e6)),
        seed=random.randrange(2**32),
        **changes,  # type: ignore[arg-type]
    )
