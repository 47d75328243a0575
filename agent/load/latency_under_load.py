"""Latency under load: round-trip time before and beside a load test, by two STAMP trains (RFC 8762).

The trains are light: 0.2 % of the load at most. Where the peer's reflector does not answer they are left out,
and the load test is the same without them.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from agent.task.context import ProbeContext
from agent.train.stamp_session import Train, TrainResult, of_reflector, run_train
from wire.ip_layer import IPV4_UDP_BYTES
from wire.records import LatencyUnderLoad
from wire.stamp import packet
from wire.stamp.timestamp import ErrorEstimate
from wire.udpstp.load import LoadReport

IDLE_PACKETS, IDLE_SPACING_S = 10, 0.02
# Round trip over a satellite that queues, and a queue of ours; a later reply counts as lost.
TIMEOUT_S = 2.0

# A minute at ten packets a second, longer than any load.
MOST_PACKETS = 600
FASTEST_S = 0.1
SHARE_OF_LOAD = 0.002
# Set-up and activation take a round trip each, and the load begins up to 50 ms after them.
_SETUP_ROUND_TRIPS, _SETUP_S = 3, 0.1


async def beside_load(
    context: ProbeContext, load_bps: float, run: Callable[[], Awaitable[LoadReport]]
) -> tuple[LoadReport, LatencyUnderLoad | None]:
    """Run the load test ``run`` of ``load_bps`` with a train before it and a train beside it.

    The report is that of ``run``, with the bytes of the trains added to its cost. Raises what ``run`` raises,
    and nothing for the trains.
    """
    idle = await _idle_train(context)
    idle_rtt = idle.statistics.rtt
    if idle_rtt is None:
        return _with_bytes(await run(), idle), None
    report, loaded = await _both(context, load_bps, idle_rtt.p50_us / 1e6, run)
    trains = [idle] if loaded is None else [idle, loaded]
    measured = loaded is not None and loaded.statistics.sent > 0
    latency = LatencyUnderLoad(
        load_bps=load_bps,
        idle=idle_rtt,
        loaded=loaded.statistics.rtt if loaded else None,
        loss_ratio=loaded.statistics.loss_ratio if loaded and measured else None,
    )
    # A step of the wall clock falsifies every stamp; the load test itself is judged on its own.
    clock_stepped = any(train.clock_step_us for train in trains)
    return _with_bytes(report, *trains), None if clock_stepped else latency


async def _idle_train(context: ProbeContext) -> TrainResult:
    """Run the train before the test; the peer's time for the test's signature is learnt from it, too."""
    train, before = await _train(context, IDLE_PACKETS, IDLE_SPACING_S), context.clock()
    idle = await run_train(train, _estimate(context))
    if train.key is not None:
        context.peer_time.learn(idle.exchanges, before, context.clock())
    return idle


async def _both(
    context: ProbeContext, load_bps: float, idle_rtt_s: float, run: Callable[[], Awaitable[LoadReport]]
) -> tuple[LoadReport, TrainResult | None]:
    """Run the test, and the train beside it from about the begin of its load until its end."""
    over = asyncio.Event()
    delay_s = _SETUP_ROUND_TRIPS * idle_rtt_s + _SETUP_S
    beside = asyncio.create_task(_beside(context, load_bps, delay_s, over))
    try:
        report = await run()
    except BaseException:
        beside.cancel()
        raise
    over.set()
    return report, await beside


async def _beside(
    context: ProbeContext, load_bps: float, delay_s: float, over: asyncio.Event
) -> TrainResult | None:
    try:
        await asyncio.wait_for(over.wait(), delay_s)
    except TimeoutError:
        train = await _train(context, MOST_PACKETS, spacing_s(load_bps))
        return await run_train(train, _estimate(context), over)
    return None


def spacing_s(load_bps: float) -> float:
    """Seconds between packets: ten a second, fewer above 0.2 % of the load, one a second at least."""
    bits = 8 * (packet.AUTHENTICATED_BASE_BYTES + IPV4_UDP_BYTES)
    return min(max(FASTEST_S, bits / (SHARE_OF_LOAD * load_bps)), 1.0)


async def _train(context: ProbeContext, count: int, spacing: float) -> Train:
    peer, authenticated = context.settings.peer, context.settings.stamp.authenticated
    return Train(
        host=await context.peer_host(),
        port=peer.stamp_port,
        count=count,
        interval_s=spacing,
        timeout_s=TIMEOUT_S,
        key=context.peer_key if authenticated else None,
        # Neither is needed: here the queue of the load is measured.
        class_of_service=False,
        follow_up=False,
        **of_reflector(context.settings.stamp.reflector),
    )


def _estimate(context: ProbeContext) -> Callable[[], ErrorEstimate]:
    return lambda: ErrorEstimate.of_clock(context.clock())


def _with_bytes(report: LoadReport, *trains: TrainResult) -> LoadReport:
    return replace(
        report,
        bytes_sent=report.bytes_sent + sum(train.bytes_sent for train in trains),
        bytes_received=report.bytes_received + sum(train.bytes_received for train in trains),
    )
