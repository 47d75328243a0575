"""UDPSTP client (RFC 9946): the socket and the thread around the client core of ``wire.udpstp``."""

import asyncio
import secrets
import socket
import threading
import time
from collections.abc import Callable

from msgspec.structs import replace

from net import load, timestamps
from wire.records import Algorithm, Direction
from wire.udpstp import client, rates
from wire.udpstp.client import Client
from wire.udpstp.load import Address, Ending, LoadReport, LoadSoFar, Plan, Search

Progress = Callable[[str], None]

_PROGRESS_EVERY_S = 0.25
_LOOK_EVERY_S = 0.01
# Twenty marks in a test of 2 s: enough to find a busy window of 0.8 s in it.
_MARK_EVERY_S = 0.1


async def run_load(
    host: str,
    port: int,
    *,
    key_id: int,
    secret: bytes,
    direction: Direction,
    row: int,
    duration_s: int,
    packet_bytes: int | None = None,
    dscp: int = 0,
    auth_offset_s: float = 0.0,
    progress: Progress | None = None,
    on_load: Callable[[LoadSoFar], None] | None = None,
    cancel: threading.Event | None = None,
) -> LoadReport:
    """Run one fixed-rate test at a row of the sending-rate table (``wire.udpstp.rates.row_for``).

    It is one attempt: a lost control message ends it with ``no-answer`` after 2 s, and the caller may try
    again (RFC 9946 §6.1). ``packet_bytes`` is the size (IP) of all packets that a peer of this program is
    asked for; None for those of the table. ``auth_offset_s`` is the peer's time minus this host's, for the
    authentication window of 5 s. ``progress`` is called in the event loop with a line for a person.
    ``on_load`` is called when the load begins, every 100 ms, and when its planned duration is over. Setting
    ``cancel``, or cancelling the task, stops the test within 0.2 s, the peer included. Never raises for what
    line, peer or socket do.
    """
    plan = Plan(
        address=(host, port),
        ident=_ident(),
        key_id=key_id,
        secret=secret,
        direction=direction,
        row=row,
        duration_s=duration_s,
        packet_bytes=packet_bytes,
        dscp=dscp,
        auth_offset_s=auth_offset_s,
    )
    return await _carry_out(plan, progress, on_load, cancel)


async def run_search(
    host: str,
    port: int,
    *,
    key_id: int,
    secret: bytes,
    direction: Direction,
    highest_bps: float,
    duration_s: int,
    algorithm: Algorithm,
    packet_bytes: int | None = None,
    dscp: int = 0,
    start_row: int | None = None,
    byte_limit: int | None = None,
    auth_offset_s: float = 0.0,
    progress: Progress | None = None,
    on_load: Callable[[LoadSoFar], None] | None = None,
    cancel: threading.Event | None = None,
) -> LoadReport:
    """Let the peer search for the capacity, up to ``highest_bps`` (bit/s, IP layer; RFC 9946 §5.1).

    It begins at ``start_row`` of the sending-rate table, None for the lowest rate. It ends early enough to
    cost no more than ``byte_limit`` bytes in both directions together. All else is as in :func:`run_load`.
    Raises ValueError for a ``highest_bps`` that no row of the table sends.
    """
    plan = Plan(
        address=(host, port),
        ident=_ident(),
        key_id=key_id,
        secret=secret,
        direction=direction,
        row=rates.row_for(highest_bps),
        duration_s=duration_s,
        packet_bytes=packet_bytes,
        dscp=dscp,
        auth_offset_s=auth_offset_s,
        search=Search(algorithm=algorithm, start_row=start_row, byte_limit=byte_limit),
    )
    return await _carry_out(plan, progress, on_load, cancel)


def _ident() -> int:
    """Random identifier, not zero (RFC 9946 §6.1)."""
    return secrets.randbelow(0xFFFF) + 1


async def _carry_out(
    plan: Plan,
    progress: Progress | None,
    on_load: Callable[[LoadSoFar], None] | None,
    cancel: threading.Event | None,
) -> LoadReport:
    """Make one attempt of ``plan``, whose address may still be a name."""
    host, port, *_ = plan.address
    try:
        plan = replace(plan, address=await _resolve(host, port))
    except OSError as error:
        return _failed(plan, Ending.NAME_UNKNOWN, f"{host}: {error.strerror or error}")
    stop = cancel or threading.Event()
    core = Client(plan, time.monotonic_ns(), time.time_ns())
    # A thread of its own: packets are due every millisecond, and the event loop may be late by more.
    running = asyncio.create_task(asyncio.to_thread(_run, core, stop))
    try:
        await asyncio.gather(_watch(running, core, progress), _mark(running, core, on_load))
        return await running
    except BaseException:  # cancelled, or a callback failed: the load must not continue alone
        stop.set()
        await asyncio.wait([running])
        raise


async def _resolve(host: str, port: int) -> Address:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    address: Address = found[0][4]  # type: ignore[assignment]
    return address


async def _watch(running: "asyncio.Task[LoadReport]", core: Client, progress: Progress | None) -> None:
    """Report progress until the test is done, of a search with its rate."""
    plan, began, last_bytes = core.plan, time.monotonic(), 0
    last = began
    megabits = rates.bits_per_second(plan.table.sending_rate(plan.row)) / 1e6
    while progress is not None:
        done, _ = await asyncio.wait([running], timeout=_PROGRESS_EVERY_S)
        if done:
            return
        now = time.monotonic()
        if plan.search is not None:
            line_bytes = core.so_far.line_bytes
            megabits = (line_bytes - last_bytes) * 8e-6 / (now - last)
            last, last_bytes = now, line_bytes
        elapsed = min(now - began, plan.duration_s)
        progress(f"{plan.direction} {megabits:.2f} Mbit/s: {elapsed:.1f} of {plan.duration_s} s")
    await asyncio.wait([running])


async def _mark(
    running: "asyncio.Task[LoadReport]", core: Client, on_load: Callable[[LoadSoFar], None] | None
) -> None:
    """Call ``on_load`` from the begin of the load until its planned end, without set-up and drain."""
    while on_load is not None and not running.done():
        if core.loading:
            await _mark_load(running, core, on_load)
            return
        await asyncio.wait([running], timeout=_LOOK_EVERY_S)


async def _mark_load(
    running: "asyncio.Task[LoadReport]", core: Client, on_load: Callable[[LoadSoFar], None]
) -> None:
    now = time.monotonic()
    end = now + core.plan.duration_s
    while now < end and not running.done():
        on_load(core.so_far)
        await asyncio.wait([running], timeout=min(_MARK_EVERY_S, end - now))
        now = time.monotonic()
    if not running.done():
        on_load(core.so_far)


def _run(core: Client, cancelled: threading.Event) -> LoadReport:
    plan = core.plan
    family = socket.AF_INET6 if plan.ipv6 else socket.AF_INET
    try:
        sock = load.open_socket(family, ("::" if plan.ipv6 else "0.0.0.0", 0))  # noqa: S104 -- a client's port
    except OSError as error:
        return _failed(plan, Ending.LOCAL_ERROR, f"no socket for the test: {error.strerror}")
    with sock:
        timestamps.set_dscp_ecn(sock, core.dscp_ecn)
        load.run(core, sock, cancelled)
        core.receiver_drops = load.receive_drops(sock)
    return core.report()


def _failed(plan: Plan, ending: Ending, detail: str) -> LoadReport:
    """Report of a test that never sent a packet, hence without a session."""
    return client.report(plan, "", None, client.AttemptSummary(ending=ending, detail=detail))
