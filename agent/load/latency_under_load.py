"""Round-trip time while a load test runs, beside the same path idle: two STAMP trains (RFC 8762).

The trains are light, and absent where the peer's reflector does not answer: a load test neither fails nor
changes for want of them.
"""

import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from agent.task.context import ProbeContext
from agent.train.stamp_session import Train, TrainResult, run_train
from wire.ip_layer import IPV4_UDP_BYTES
from wire.records import LatencyUnderLoad
from wire.stamp import packet
from wire.stamp.timestamp import ErrorEstimate
from wire.udpstp.load import LoadReport

IDLE_PACKETS, IDLE_SPACING_S = 10, 0.02
TIMEOUT_S = 1.0
"""A geostationary satellite's round trip and a queue besides; what comes later counts as lost."""

MOST_PACKETS = 600
FASTEST_S = 0.1
SHARE_OF_LOAD = 0.002
_SETUP_ROUND_TRIPS, _SETUP_S = 3, 0.1
"""Set-up and activation take a round trip each, and the load begins up to 50 ms later."""


async def beside_load(
    surroundings: ProbeContext, load_bps: float, run: Callable[[], Awaitable[LoadReport]]
) -> tuple[LoadReport, LatencyUnderLoad | None]:
    """Run the load test ``run`` of ``load_bps`` with a train before it and a train beside it.

    The report is what ``run`` returned, with the trains' bytes added to what the test cost the line. Raises
    what ``run`` raises, and nothing for the trains.
    """
    idle = await _idle_train(surroundings)
    idle_rtt = idle.statistics.rtt
    if idle_rtt is None:
        return _with_bytes(await run(), idle), None
    report, loaded = await _both(surroundings, load_bps, idle_rtt.p50_us / 1e6, run)
    trains = [idle] if loaded is None else [idle, loaded]
    told = loaded is not None and loaded.statistics.sent > 0
    latency = LatencyUnderLoad(
        load_bps=load_bps,
        idle=idle_rtt,
        loaded=loaded.statistics.rtt if loaded else None,
        loss_ratio=loaded.statistics.loss_ratio if loaded and told else None,
    )
    clock_stepped = any(train.clock_step_us for train in trains)
    return _with_bytes(report, *trains), None if clock_stepped else latency


async def _idle_train(surroundings: ProbeContext) -> TrainResult:
    """The train before the test, which also tells the time that the test is to be signed with."""
    train, before = _train(surroundings, IDLE_PACKETS, IDLE_SPACING_S), surroundings.clock()
    idle = await run_train(train, _estimate(surroundings))
    if train.key is not None:
        surroundings.peer_time.learn(idle.exchanges, before, surroundings.clock())
    return idle


async def _both(
    surroundings: ProbeContext, load_bps: float, idle_rtt_s: float, run: Callable[[], Awaitable[LoadReport]]
) -> tuple[LoadReport, TrainResult | None]:
    """The test and the train beside it, from about when its load begins until it is through."""
    over = asyncio.Event()
    delay_s = _SETUP_ROUND_TRIPS * idle_rtt_s + _SETUP_S
    beside = asyncio.create_task(_beside(surroundings, load_bps, delay_s, over))
    try:
        report = await run()
    except BaseException:
        beside.cancel()
        raise
    over.set()
    return report, await beside


async def _beside(
    surroundings: ProbeContext, load_bps: float, delay_s: float, over: asyncio.Event
) -> TrainResult | None:
    try:
        await asyncio.wait_for(over.wait(), delay_s)
    except TimeoutError:
        train = _train(surroundings, MOST_PACKETS, spacing_s(load_bps))
        return await run_train(train, _estimate(surroundings), over)
    return None


def spacing_s(load_bps: float) -> float:
    """Ten packets a second, fewer where they would take more than 0.2 % of the load, but one a second."""
    bits = 8 * (packet.AUTHENTICATED_BASE_BYTES + IPV4_UDP_BYTES)
    return min(max(FASTEST_S, bits / (SHARE_OF_LOAD * load_bps)), 1.0)


def _train(surroundings: ProbeContext, count: int, spacing: float) -> Train:
    peer, authenticated = surroundings.settings.peer, surroundings.settings.stamp.authenticated
    return Train(
        host=peer.host,
        port=peer.stamp_port,
        count=count,
        interval_s=spacing,
        timeout_s=TIMEOUT_S,
        key=surroundings.peer_key if authenticated else None,
        class_of_service=False,
        follow_up=False,
    )


def _estimate(surroundings: ProbeContext) -> Callable[[], ErrorEstimate]:
    return lambda: ErrorEstimate.of_clock(surroundings.clock())


def _with_bytes(report: LoadReport, *trains: TrainResult) -> LoadReport:
    return replace(
        report,
        bytes_sent=report.bytes_sent + sum(train.bytes_sent for train in trains),
        bytes_received=report.bytes_received + sum(train.bytes_received for train in trains),
    )
