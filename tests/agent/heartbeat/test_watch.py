"""Heartbeats of one run, and the record that the next run makes of it."""

import asyncio
from pathlib import Path

import pytest

from agent.heartbeat.watch import HeartbeatWatch
from agent.task.watch import WatchEvent
from outbox.journal import heartbeat
from outbox.journal.heartbeat import Heartbeat
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from tests.agent.fakes import FakeClock
from wire.records import Cause, ReachabilityValues

EVERY_S = 0.01
KILLED = "killed"


def run(folder: Path, clock: FakeClock, end: str = "in order") -> list[WatchEvent]:
    """One run of the agent and the events of its watch."""
    emitted: list[WatchEvent] = []
    path = folder / "journal.db"

    async def whole() -> None:
        journal = JournalThread(lambda: Journal(path, 10**8, clock.read()))
        await journal.open()
        watching = asyncio.create_task(HeartbeatWatch(path, journal, clock.read, EVERY_S).run(emitted.append))
        started = clock.read().boot_us
        clock.advance(5)
        async with asyncio.timeout(10):
            while (
                beat := heartbeat.read(heartbeat.path_beside(path))
            ) is None or beat.clock.boot_us <= started:
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        if end == KILLED:
            await journal.do(Journal.release_file)
        else:
            await journal.close(clock.read())

    asyncio.run(whole())
    return emitted


def last(journal: Path) -> Heartbeat | None:
    return heartbeat.read(heartbeat.path_beside(journal))


def values(emitted: list[WatchEvent]) -> ReachabilityValues:
    [event] = emitted
    assert isinstance(event.values, ReachabilityValues)
    assert event.values.end == event.start
    return event.values


def test_the_first_run_has_nothing_to_record_and_the_next_that_it_was_stopped(tmp_path: Path) -> None:
    clock = FakeClock()
    assert run(tmp_path, clock) == []
    beat = last(tmp_path / "journal.db")
    assert beat is not None
    assert beat.stopped
    clock.advance(60)
    found = values(run(tmp_path, clock))
    assert (found.cause, found.begin, found.begin_error_us) == (Cause.AGENT, beat.clock, 0)


def test_a_run_that_was_killed_is_known_by_its_last_heartbeat(tmp_path: Path) -> None:
    clock = FakeClock()
    run(tmp_path, clock, KILLED)
    beat = last(tmp_path / "journal.db")
    assert beat is not None
    clock.advance(60)
    found = values(run(tmp_path, clock))
    assert (found.cause, found.begin, found.begin_error_us) == (Cause.AGENT, beat.clock, 10_000)


async def test_a_place_that_cannot_be_written_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heartbeat.path_beside(tmp_path / "journal.db").mkdir()
    clock = FakeClock()
    journal = JournalThread(lambda: Journal(tmp_path / "journal.db", 10**8, clock.read()))
    await journal.open()
    beating = asyncio.create_task(journal.keep_beating(clock.read, EVERY_S))
    async with asyncio.timeout(10):
        while "cannot write the heartbeat" not in caplog.text:
            await asyncio.sleep(0.005)
    await asyncio.sleep(5 * EVERY_S)
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)
    await journal.close()
    assert caplog.text.count("cannot write the heartbeat") == 1
