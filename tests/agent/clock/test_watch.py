"""The clock's watch: a change is an event."""

import asyncio

from agent.clock.watch import ClockWatch
from agent.task.watch import WatchEvent
from agent.train.peer_time import PeerTime
from tests.agent.fakes import FakeClock
from wire.records import ClockMeasurement


def test_the_watch_tells_an_event() -> None:
    told: list[WatchEvent] = []

    async def scenario() -> None:
        watch = ClockWatch(FakeClock().read, PeerTime())
        running = asyncio.create_task(watch.run(told.append))
        while not told:
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(scenario())
    assert [(event.record, event.start.synchronised) for event in told] == [(ClockMeasurement, True)]
