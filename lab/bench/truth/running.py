"""Verdicts on one line of a shape: a kernel link of its own, with the real peer and probe."""

import asyncio
import contextlib
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from lab.bench.truth.account import ShapeAccount
from lab.bench.truth.shapes import LineLevel, Shape, ShapeCounters
from lab.bench.truth.standing import standing_rate_bps
from lab.netns.links.link import tool
from lab.netns.names import LinkNode
from lab.netns.places import INTERFACE
from lab.netns.requirements import KernelLinkError
from lab.netns.rules import queue
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.testbed.base import TestbedError
from lab.testbed.kernel_testbed import KernelTestbed
from wire.records import Direction

LOOPBACK = "lo"
# A load is 1.6 times the rate: a queue of 1 s stands after half a second.
MOST_OFF, OVERLOAD, LOAD_S, SETTLED_NS = 0.004, 1.6, 4, 800_000_000
TRIES = 3


def measure(shape: Shape, level: LineLevel, runs: int, seed: str) -> list[ShapeAccount]:
    """Measure both directions of a line, in a process of its own."""
    rate_bps = shape.rate_bps(level, seed)
    randomness = Random(f"{seed} {shape.name} {level}")
    down, up = (shape.line(rate_bps, randomness.getrandbits(31)) for _ in Direction)
    accounts = [ShapeAccount(shape, level, direction, rate_bps) for direction in Direction]
    with TemporaryDirectory(prefix="plancher-truth-") as folder:
        try:
            with (
                KernelTestbed(Path(folder), KernelLinkSettings(down, up, logged=True)) as testbed,
                _swinging(testbed, shape, rate_bps),
            ):
                for account in accounts:
                    asyncio.run(_calibrate(account, testbed))
                # The load above has packets of one size; a floor test finds the size that passes.
                _narrow(testbed, shape)
                for account in accounts:
                    if not account.problem:
                        asyncio.run(_fill(account, testbed, runs))
        except (OSError, KernelLinkError, TestbedError) as error:
            for account in accounts:
                account.problem = str(error)
    return accounts


async def _calibrate(account: ShapeAccount, testbed: KernelTestbed) -> None:
    """Find the line's rate; a busy machine may make another line than was asked for."""
    for _ in range(0 if account.shape.swing else TRIES):
        account.problem = await _untrue(account, testbed)
        if not account.problem:
            break


async def _fill(account: ShapeAccount, testbed: KernelTestbed, runs: int) -> None:
    shape = account.shape
    for _ in range(runs):
        reading = await testbed.verdict(
            account.direction,
            shape.floor_bps,
            visible=shape.counters is not ShapeCounters.NONE,
            counted=LOOPBACK if shape.counters is ShapeCounters.ALIEN else INTERFACE,
            pre_drain=shape.pre_drain,
            layer=shape.layer,
        )
        account.readings.append(reading)


async def _untrue(account: ShapeAccount, testbed: KernelTestbed) -> str:
    """Compare the line with what it should be, by its own log of a load that it cannot carry.

    Returns the difference, or nothing.
    """
    testbed.link.forget_log()
    line = account.shape.line(round(account.rate_bps), seed=0)
    # What a bucket lets pass at once is over by then, and the load is not yet.
    emptied_s = line.burst * 8 / account.rate_bps
    seconds = LOAD_S + math.ceil(emptied_s)
    await testbed.load(account.direction, max(2e6, OVERLOAD * account.rate_bps), seconds)
    log = testbed.link.log(account.direction)
    testbed.link.forget_log()
    if not log:
        return "the line carried nothing"
    begin_ns = log[0].entered_ns + SETTLED_NS + round(emptied_s * 1e9)
    # A line without a queue shows no end of the load, and thin probes follow it.
    end_ns = log[0].entered_ns + round((seconds - 0.2) * 1e9)
    found_bps = standing_rate_bps([one for one in log if one.entered_ns < end_ns], line, begin_ns)
    if found_bps is None:
        return "no queue stood long enough to find the line's rate: no verdicts taken"
    off = found_bps * (1 + line.duplication) / account.rate_bps - 1
    # The number of copies in one load varies by chance.
    if abs(off) > MOST_OFF + line.duplication / 10:
        return f"the line's rate is {off:+.1%} off: no verdicts taken"
    account.rate_bps = found_bps
    return ""


def _narrow(testbed: KernelTestbed, shape: Shape) -> None:
    router = testbed.link.namespace(LinkNode.ROUTER)
    for device in (LinkNode.SITE, LinkNode.FAR):
        tool("ip", "-n", router, "link", "set", "dev", device, "mtu", str(shape.mtu))


@contextlib.contextmanager
def _swinging(testbed: KernelTestbed, shape: Shape, rate_bps: int) -> Iterator[None]:
    """Change the rates of both directions again and again, while the block runs."""
    if shape.swing is None:
        yield
        return
    swing, stop = shape.swing, threading.Event()
    router = testbed.link.namespace(LinkNode.ROUTER)

    def change() -> None:
        while True:
            for factor in (1 - swing.share, 1 + swing.share):
                for direction in Direction:
                    line: KernelLineSettings = shape.line(round(rate_bps * factor), 0)
                    tool("tc", "-n", router, *queue(direction, line))
                if stop.wait(swing.half_s):
                    return

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
