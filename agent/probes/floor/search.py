"""Search that has to agree before a direction is condemned: load-rate adjustment up to twice the floor.

Only its second half is judged. By then a token bucket in front of a slower line is empty (RFC 9946 §5.1).
"""

import time

from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.load.packet_size import PacketSize
from agent.load.udpstp_client import run_search
from agent.probes.floor.rules.sequence import CapacitySearch, SearchResult
from agent.task.context import ProbeContext
from wire.records import Algorithm, Direction
from wire.udpstp.load import Ending, LoadReport

# Its second half is 5 s: long enough for several sub-intervals of a second (RFC 9097 §5.3).
DURATION_S = 10


def search_of(context: ProbeContext, packet_size: PacketSize) -> CapacitySearch:
    """Search against the peer of the settings."""
    peer, counters = context.settings.peer, context.line_counters

    async def search(direction: Direction, highest_bps: float) -> SearchResult:
        before, began_s = await _counted(counters), time.monotonic()
        report = await run_search(
            await context.peer_host(),
            peer.udpstp_port,
            key_id=peer.key_id,
            secret=context.peer_key,
            direction=direction,
            highest_bps=min(highest_bps, 1e9),
            duration_s=DURATION_S,
            algorithm=Algorithm.B,
            packet_bytes=packet_size.of(direction),
            auth_offset_s=context.peer_ahead_s,
        )
        other_bps = _other_bps(before, await _counted(counters), report, time.monotonic() - began_s)
        found = sustained_bps(report)
        maximum = None if found is None else found + other_bps
        return SearchResult(maximum, report.bytes_sent, report.bytes_received)

    return search


def sustained_bps(report: LoadReport) -> float | None:
    """Maximum_C of the second half, bit/s (RFC 9097 §5); None where the search was cut off or is invalid."""
    from agent.load.rules import capacity as capacity_rules  # seldom needed: kept out of the agent's memory

    later = [one for one in report.intervals if one.offset_us >= report.planned_duration_us / 2]
    if report.ending is not Ending.COMPLETED or capacity_rules.why_invalid(report):
        return None
    return capacity_rules.maximum(later).received_bps if capacity_rules.sub_intervals(later) else None


async def _counted(counters: LineCounterSource) -> CounterReading | Unavailable:
    """Counters of the line, if they are those of this moment."""
    return Unavailable("the counters lag behind") if counters.lag_s else await counters.ask()


def _other_bps(
    before: CounterReading | Unavailable,
    after: CounterReading | Unavailable,
    report: LoadReport,
    elapsed_s: float,
) -> float:
    """Site's own traffic beside the search, bit/s; 0 where it is not known."""
    if isinstance(before, Unavailable) or isinstance(after, Unavailable):
        return 0.0
    added = after.since(before)
    if isinstance(added, Unavailable):
        return 0.0
    if report.direction is Direction.DOWN:
        return max(0.0, (added.received_ip_bytes - report.bytes_received) * 8 / elapsed_s)
    return max(0.0, (added.sent_ip_bytes - report.bytes_sent) * 8 / elapsed_s)
