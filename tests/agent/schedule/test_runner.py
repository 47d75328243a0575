import asyncio
import errno
import logging
import socket

import pytest

from agent.schedule.runner import ProbeRun, Runner
from agent.task.task import Task
from tests.agent.fakes import GOOD, TASK, FakeClock, FakeProbe
from wire.messages import envelope as messages
from wire.records import Direction, Failure, FloorMeasurement, Outcome, Purpose, StampMeasurement

EPOCH = "00112233445566ff"


def run(probe: FakeProbe, *, clock: FakeClock | None = None, **options: object) -> ProbeRun:
    subject = Runner("pop-1", (clock or FakeClock()).read, line_wait_s=0.05)
    return asyncio.run(subject.run(probe, TASK, Purpose.SCHEDULED, **options))  # type: ignore[arg-type]


def test_a_reading_becomes_a_measurement_with_clocks_and_duration() -> None:
    clock = FakeClock()
    attempt = run(FakeProbe(clock=clock), clock=clock, slot_us=clock.boot_us - 7_400_000)
    assert attempt.host is not None
    assert attempt.host.load_1min is not None
    assert attempt.measurement(EPOCH, 7) == StampMeasurement(
        epoch=EPOCH,
        seq=7,
        purpose=Purpose.SCHEDULED,
        peer="pop-1",
        start=FakeClock().read(),
        duration_us=10_000_000,
        outcome=Outcome.OK,
        slot_us=1_774_999_993_000_000,
        interval_us=60_000_000,
        schedule="stamp-dscp-46",
        dscp=46,
        bytes_sent=1440,
        bytes_received=1440,
        host=attempt.host,
        values=GOOD.values,
    )


def test_every_measurement_survives_the_wire() -> None:
    measurement = run(FakeProbe(OSError(errno.ENETUNREACH, "x" * 1000))).measurement(EPOCH, 1)
    assert messages.decode_measurement(messages.encode(measurement)) == measurement
    assert len(measurement.detail) == 300


def test_a_run_outside_the_schedule_has_no_slot() -> None:
    subject = Runner("pop-1", FakeClock().read)
    attempt = asyncio.run(subject.run(FakeProbe(), TASK, Purpose.ON_DEMAND))
    measurement = attempt.measurement(EPOCH, 1)
    assert (measurement.purpose, measurement.slot_us, measurement.interval_us, measurement.schedule) == (
        Purpose.ON_DEMAND,
        None,
        None,
        None,
    )


def test_a_retest_belongs_to_its_line_of_the_schedule_and_uses_up_no_slot() -> None:
    attempt = asyncio.run(Runner("pop-1", FakeClock().read).run(FakeProbe(), TASK, Purpose.RETEST))
    measurement = attempt.measurement(EPOCH, 1)
    assert (measurement.purpose, measurement.slot_us) == (Purpose.RETEST, None)
    assert (measurement.schedule, measurement.interval_us) == ("stamp-dscp-46", 60_000_000)


def test_a_passive_measurement_fills_its_slot() -> None:
    attempt = Runner("pop-1", FakeClock().read).passive(FakeProbe(), TASK, 1_000_000_000 - 7_000_000, GOOD)
    measurement = attempt.measurement(EPOCH, 1)
    assert (measurement.purpose, measurement.duration_us) == (Purpose.PASSIVE, 0)
    assert (measurement.schedule, measurement.slot_us) == ("stamp-dscp-46", 1_774_999_993_000_000)


@pytest.mark.parametrize(("error", "failure"), [
    (OSError(errno.ENETUNREACH, "Network is unreachable"), Failure.UNREACHABLE),
    (OSError(errno.EHOSTUNREACH, "No route to host"), Failure.UNREACHABLE),
    (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), Failure.PEER_REFUSED),
    (ConnectionResetError(errno.ECONNRESET, "reset"), Failure.CONNECTION_LOST),
    (OSError(errno.ENOBUFS, "No buffer space"), Failure.SEND_BLOCKED),
    (PermissionError(errno.EPERM, "Operation not permitted"), Failure.CONFIGURATION),
    (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), Failure.CONFIGURATION),
    (OSError(errno.EMFILE, "Too many open files"), Failure.INTERNAL),
    (socket.gaierror(-2, "Name or service not known"), Failure.NAME_UNKNOWN),
    (TimeoutError(), Failure.NO_ANSWER),
    (OSError(errno.ETIMEDOUT, "Connection timed out"), Failure.NO_ANSWER),
    (asyncio.CancelledError(), Failure.CANCELLED),
    (ValueError("bug"), Failure.INTERNAL),
])  # fmt: skip
def test_every_exception_becomes_one_failure(error: BaseException, failure: Failure) -> None:
    reading = run(FakeProbe(error)).reading
    assert (reading.outcome, reading.failure, reading.values) == (Outcome.FAILED, failure, None)


def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        run(FakeProbe(ValueError("bug")))
    assert caplog.messages == ["stamp dscp 46: run ended by an error (a bug, please report it)"]
    assert "Traceback" in caplog.text


def test_the_deadline_ends_a_probe() -> None:
    reading = run(FakeProbe(None, deadline_s=0.02)).reading
    assert (reading.failure, reading.detail) == (Failure.DEADLINE, "no end after 0.02 s")


async def test_what_is_cancelled_leaves_a_measurement() -> None:
    subject = Runner("pop-1", FakeClock().read)
    probe = FakeProbe(None, alone=True)
    both = [asyncio.ensure_future(subject.run(probe, TASK, Purpose.SCHEDULED)) for _ in range(2)]
    while not probe.started:
        await asyncio.sleep(0)
    subject.cancel()
    found = await asyncio.gather(*both)
    running, waiting = (attempt.reading for attempt in found)
    assert (running.outcome, running.failure) == (Outcome.FAILED, Failure.CANCELLED)
    assert (waiting.outcome, waiting.failure) == (Outcome.SKIPPED, Failure.CANCELLED)


async def test_cancelling_the_run_itself_ends_the_probe_and_is_not_swallowed() -> None:
    probe = FakeProbe(None)
    outer = asyncio.ensure_future(Runner("pop-1", FakeClock().read).run(probe, TASK, Purpose.ON_DEMAND))
    while not probe.started:
        await asyncio.sleep(0)
    outer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await outer
    await asyncio.sleep(0)
    assert probe.at_once == 0


async def test_a_busy_line_is_a_skipped_measurement() -> None:
    subject = Runner("pop-1", FakeClock().read, line_wait_s=0.02)
    probe = FakeProbe(alone=True, pause_s=0.2)
    first, second = await asyncio.gather(*(subject.run(probe, TASK, Purpose.SCHEDULED) for _ in range(2)))
    assert first.reading.outcome is Outcome.OK
    assert (second.reading.outcome, second.reading.failure) == (Outcome.SKIPPED, Failure.LINE_BUSY)


@pytest.mark.parametrize(("alone", "most"), [(True, 1), (False, 5)])
def test_a_probe_is_alone_where_it_asks_to_be(alone: bool, most: int) -> None:
    async def scenario() -> FakeProbe:
        subject = Runner("pop-1", FakeClock().read, line_wait_s=5)
        probe = FakeProbe(alone=alone, pause_s=0.01)
        await asyncio.gather(*(subject.run(probe, TASK, Purpose.SCHEDULED) for _ in range(5)))
        return probe

    probe = asyncio.run(scenario())
    assert (probe.most_at_once, len(probe.started)) == (most, 5)


async def test_alone_excludes_the_others_too() -> None:
    order: list[str] = []
    subject = Runner("pop-1", FakeClock().read, line_wait_s=5)
    shared, alone = FakeProbe(pause_s=0.01), FakeProbe(alone=True, pause_s=0.01)

    async def one(name: str, probe: FakeProbe) -> None:
        await subject.run(probe, TASK, Purpose.SCHEDULED)
        assert shared.at_once == 0 or alone.at_once == 0
        order.append(name)

    await asyncio.gather(one("first", shared), one("alone", alone), one("after", shared))
    assert order == ["first", "alone", "after"]


def test_a_missed_slot_is_a_skipped_measurement() -> None:
    task = Task("floor", 3600, Direction.UP)
    probe = FakeProbe(record=FloorMeasurement)
    attempt = Runner("pop-1", FakeClock().read).missed(probe, task, 1_000_000_000 - 3_600_000_000)
    measurement = attempt.measurement(EPOCH, 1)
    assert isinstance(measurement, FloorMeasurement)
    assert (measurement.outcome, measurement.failure) == (Outcome.SKIPPED, Failure.MISSED_SLOT)
    assert measurement.slot_us == 1_775_000_000_000_000 - 3_600_000_000
    assert measurement.direction is Direction.UP
