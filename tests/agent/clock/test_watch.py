"""The clock's watch: a change is an event."""

import asyncio

from agent.clock.watch import ClockWatch
from agent.task.watch import WatchEvent
from agent.train.peer_time import PeerTime
from tests.agent.fakes import FakeClock
from wire.records import ClockMeasurement


async def test_the_watch_tells_an_event() -> None:
    events: list[WatchEvent] = []
    watch = ClockWatch(FakeClock().read, PeerTime())
    running = asyncio.create_task(watch.run(events.append))
    while not events:
        await asyncio.sleep(0)
    running.cancel()
    assert [(event.record, event.start.synchronised) for event in events] == [(ClockMeasurement, True)]
