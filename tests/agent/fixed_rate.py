"""A fixed-rate test over an exact line, as the load cores would report it: for rules, without sockets."""

from dataclasses import replace
from random import Random

from lab.line import Line, LineSettings
from wire.records import Direction
from wire.udpstp.load import Ending, LoadInterval, LoadReport

PACKET_BYTES = 1000
INTERVAL_NS = 50_000_000


def run(
    line: LineSettings,
    rate_bps: float = 8e6,
    seconds: int = 2,
    direction: Direction = Direction.DOWN,
    other_bps: float = 0.0,
) -> tuple[LoadReport, float]:
    """Send at ``rate_bps`` for ``seconds`` beside ``other_bps`` of evenly spaced other traffic.

    Returns the report and the rate at which the other traffic came through meanwhile, as line counters tell.
    """
    gap_ns = round(PACKET_BYTES * 8e9 / rate_bps)
    sent = [(index * gap_ns, True) for index in range(seconds * 10**9 // gap_ns)]
    if other_bps:
        other_gap = round(PACKET_BYTES * 8e9 / other_bps)
        sent += [(index * other_gap + 7, False) for index in range(seconds * 10**9 // other_gap)]
    link = Line(line)
    arrivals, others = [], []
    for at, ours in sorted(sent):
        releases = link.offer(at, PACKET_BYTES)
        (arrivals if ours else others).extend((release.at, at) for release in releases)
    report = _report(arrivals, sum(ours for _, ours in sent), gap_ns, rate_bps, seconds, direction)
    last = max((at for at, _ in arrivals), default=seconds * 10**9)
    return report, sum(at <= last for at, _ in others) * PACKET_BYTES * 8e9 / last


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
    for at, sent_at in arrivals:
        delay_us = round((at - sent_at - least) / unit) * unit / 1e3
        intervals.setdefault((at - arrivals[0][0]) // INTERVAL_NS, []).append(delay_us)
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
        intervals=tuple(_interval(index, delays) for index, delays in intervals.items()),
        rtt_min_us=2 * least // 1000,
    )


def _interval(index: int, delays: list[float]) -> LoadInterval:
    return LoadInterval(
        offset_us=index * INTERVAL_NS // 1000,
        duration_us=INTERVAL_NS // 1000,
        datagrams=len(delays),
        ip_bytes=len(delays) * PACKET_BYTES,
        lost=0,
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
