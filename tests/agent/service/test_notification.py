"""Notifications of the resident agent to a service manager, and its log."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.service import service as agent_resident
from agent.service.service import Resident
from agent.task.task import Progress, Reading, RetestRequest, Task
from agent.uplink.uplink import Uplink
from host.clock import Clock
from host.notify import NOBODY, Notifier
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from tests.agent.fakes import GOOD, FakeProbe
from tests.agent.service.test_service import HOURLY, settings
from tests.service_manager import heard, service_manager
from wire.records import Failure, Outcome

WITHIN_S = 20.0
BLOCKED_S = 0.3


def live(folder: Path, probe: FakeProbe, until: Callable[[], bool], service: Notifier = NOBODY) -> None:
    """A resident agent until the condition holds."""
    chosen, clock = settings(folder), Clock()
    path = Path(chosen.journal.path)
    journal = JournalThread(lambda: Journal(path, 10**8, clock.read()))
    uplink = Uplink(chosen.site, "0.1.0", chosen.broker, chosen.uplink, journal, clock.read)
    tasks = dict.fromkeys(probe.tasks(), probe)
    resident = Resident(chosen, "0.1.0", tasks, journal, uplink, clock.read, service=service)

    async def whole() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(resident.run(stop))
        try:
            async with asyncio.timeout(WITHIN_S):
                while not until() and not running.done():
                    await asyncio.sleep(0.01)
        finally:
            stop.set()
            await running

    asyncio.run(whole())


@dataclass
class Moody(FakeProbe):
    """Gives one reading after the other, at once."""

    readings: list[Reading] = field(default_factory=list)
    asked: list[Task] = field(default_factory=lambda: [HOURLY])

    async def run(self, task: Task, progress: Progress) -> Reading:
        self.started.append(task)
        return self.readings.pop(0)


def failed(failure: Failure) -> Reading:
    return Reading(Outcome.FAILED, failure=failure, retest=RetestRequest(0))


def test_of_attempts_that_fail_alike_the_first_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_resident, "LONGEST_NAP_S", 0.01)
    caplog.set_level("INFO")
    out, good = failed(Failure.NO_ANSWER), Reading(Outcome.OK, GOOD.values, retest=RetestRequest(0))
    last = Reading(Outcome.OK, GOOD.values)
    probe = Moody(readings=[out, out, out, failed(Failure.UNREACHABLE), good, out, last])
    live(tmp_path, probe, lambda: not probe.readings)
    levels = [entry.levelno for entry in caplog.records if entry.message.startswith("stamp")]
    warning, info = logging.WARNING, logging.INFO
    assert levels == [warning, info, info, warning, info, warning, info], caplog.messages


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with service_manager(tmp_path) as sock:
        yield sock


@dataclass
class Blocking(FakeProbe):
    """Holds the event loop up, as nothing may, and looks at what the service manager hears meanwhile."""

    manager: socket.socket | None = None
    before: list[str] = field(default_factory=list)
    meanwhile: list[str] = field(default_factory=list)

    async def run(self, task: Task, progress: Progress) -> Reading:
        assert self.manager is not None
        await asyncio.sleep(0.1)
        self.before += heard(self.manager)
        time.sleep(BLOCKED_S)  # noqa: ASYNC251 -- that is the fault
        self.meanwhile += heard(self.manager)
        self.started.append(task)
        return GOOD


def test_the_watchdog_starves_where_the_event_loop_hangs(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_resident, "LONGEST_NAP_S", 0.01)
    after: list[str] = []

    def fed_again() -> bool:
        after.extend(heard(manager) if probe.started else [])
        return "WATCHDOG=1" in after

    probe = Blocking(asked=[HOURLY], manager=manager)
    live(tmp_path, probe, fed_again, Notifier(manager.getsockname(), watchdog_s=BLOCKED_S / 3))
    assert probe.before.count("READY=1") == 1
    assert "WATCHDOG=1" in probe.before
    assert probe.meanwhile == []
    assert [*after, *heard(manager)][-1] == "STOPPING=1"
