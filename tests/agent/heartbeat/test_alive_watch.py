"""Signs of life, and what the next run makes of them."""

import asyncio
import threading
from pathlib import Path

import pytest
from agent.heartbeat.alive_file import Alive
from agent.heartbeat.alive_watch import AliveWatch

from agent.heartbeat import alive_file
from agent.task.watch import WatchEvent
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from tests.agent.fakes import FakeClock
from wire.records import Cause, ReachabilityValues

EVERY_S = 0.01


def run(folder: Path, clock: FakeClock, *, orderly: bool = True) -> list[WatchEvent]:
    """One run of the agent: what it told. ``orderly``: its journal is closed, too."""
    told: list[WatchEvent] = []
    path = folder / "alive.json"

    async def whole() -> None:
        journal = JournalThread(lambda: Journal(folder / "journal.db", 10**8, clock.read()))
        await journal.open()
        watch = AliveWatch(path, journal, clock.read, EVERY_S)
        watching = asyncio.create_task(watch.run(told.append))
        started = clock.read().boot_us
        clock.advance(5)
        async with asyncio.timeout(10):
            while (alive := alive_file.read(path)) is None or alive.clock.boot_us <= started:
                await asyncio.sleep(0.005)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await journal.close(clock.read())

    asyncio.run(whole())
    return told


def values(told: list[WatchEvent]) -> ReachabilityValues:
    [event] = told
    assert isinstance(event.values, ReachabilityValues)
    assert event.values.end == event.start
    return event.values


def test_the_first_run_has_nothing_to_tell_and_the_next_that_it_was_stopped(tmp_path: Path) -> None:
    clock = FakeClock()
    assert run(tmp_path, clock) == []
    stopped = alive_file.read(tmp_path / "alive.json")
    assert stopped is not None
    assert stopped.stopped
    clock.advance(60)
    told = values(run(tmp_path, clock))
    assert (told.cause, told.begin, told.begin_error_us) == (Cause.AGENT, stopped.clock, 0)


def test_a_sign_of_life_is_written_over_in_place_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "alive.json"
    clock = FakeClock()
    for _ in range(2):
        alive_file.write(path, Alive(clock.read()))
        clock.advance(10**6)
    assert path.stat().st_size == alive_file.BYTES
    found = alive_file.read(path)
    assert found is not None
    assert found.clock.boot_us == clock.boot_us - 10**12


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 512, b'{"clock":{"boot_id":"\xff"}}', b'{"clock":', b"[]", b"x" * 2000]
)
def test_what_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alive.json"
    path.write_bytes(content)
    assert alive_file.read(path) is None


def test_a_sign_of_life_that_takes_its_time_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on, held = threading.Event(), threading.Event(), []
    write, clock, path = alive_file.write, FakeClock(), tmp_path / "alive.json"

    def slowly(place: Path, alive: Alive) -> None:
        begun.set()
        held.append(go_on.wait(10))
        write(place, alive)

    monkeypatch.setattr(alive_file, "write", slowly)

    async def whole() -> None:
        journal = JournalThread(lambda: Journal(tmp_path / "journal.db", 10**8, clock.read()))
        await journal.open()
        watching = asyncio.create_task(AliveWatch(path, journal, clock.read, EVERY_S).run(lambda _: None))
        async with asyncio.timeout(10):
            while not begun.is_set():
                await asyncio.sleep(0.005)
        assert not path.exists()
        watching.cancel()
        await asyncio.sleep(0)  # the last sign waits behind the first
        go_on.set()
        await asyncio.gather(watching, return_exceptions=True)
        await journal.close()

    asyncio.run(whole())
    assert held == [True, True]
    last = alive_file.read(path)
    assert last is not None
    assert last.stopped


def test_a_place_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    clock = FakeClock()

    async def whole() -> None:
        journal = JournalThread(lambda: Journal(tmp_path / "journal.db", 10**8, clock.read()))
        await journal.open()
        watch = AliveWatch(tmp_path / "file" / "alive.json", journal, clock.read, EVERY_S)
        watching = asyncio.create_task(watch.run(lambda _: None))
        async with asyncio.timeout(10):
            while "may not be known to the next" not in caplog.text:
                await asyncio.sleep(0.005)
        await asyncio.sleep(5 * EVERY_S)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await journal.close()

    asyncio.run(whole())
    assert caplog.text.count("may not be known to the next") == 1
