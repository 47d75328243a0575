"""Collector with a built-in fault: it stops during a commit, or rejects everything."""

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import net.liveness
from collector import settings
from collector.ingest import queue
from collector.ingest.decode import judge
from collector.ledger.write.writer import no_fault
from collector.model.message import Accepted, Arrival, Batch, Judged, Refused
from collector.service.service import CollectorService
from host import log
from wire.messages.envelope import Fault, Reason


@dataclass(frozen=True, slots=True)
class Collector:
    """Settings of this collector.

    ``stop_at``: stop (SIGSTOP) during this commit, counted from 1, with rows written and nothing committed.
    ``refusing``: reject every measurement as invalid, as a faulty release would.
    """

    settings: Path
    stop_at: int | None = None
    refusing: bool = False
    back_within_s: float = 0.5


def run(collector: Collector) -> None:
    """Collect until SIGTERM."""
    log.start("info")
    net.liveness.LAST_PAUSE_S = collector.back_within_s
    if collector.refusing:
        vars(queue)["judge"] = _refuse
    fault_point = no_fault if collector.stop_at is None else _stop_at(collector.stop_at)
    asyncio.run(_run(CollectorService(settings.load(collector.settings), before_commit=fault_point)))


async def _run(program: CollectorService) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await program.run(stop)


def _stop_at(nth: int) -> Callable[[], None]:
    """Return the fault point, which stops the whole process in the ``nth`` commit until it is killed."""
    left = [nth]

    def stop() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGSTOP)

    return stop


def _refuse(arrival: Arrival) -> Judged:
    judged = judge(arrival)
    if not isinstance(judged, Batch):
        return judged
    fault = Fault(Reason.INVALID, "a release that takes nothing for valid")
    items = tuple(
        Refused((item.record.epoch, item.record.seq), fault, item.raw) if isinstance(item, Accepted) else item
        for item in judged.items
    )
    return replace(judged, items=items)
