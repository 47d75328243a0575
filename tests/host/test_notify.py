"""Notifications as received by a Unix socket in place of the service manager."""

import asyncio
import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from host.notify import NOBODY, Notifier
from tests.service_manager import heard, service_manager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with service_manager(tmp_path) as sock:
        yield sock


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), "HOME": "/", **more}


def test_a_program_reports_ready_status_and_stopping(manager: socket.socket) -> None:
    service = Notifier.from_environment(environment(manager))
    service.ready()
    service.set_status("site A,\nconnected")
    service.set_status("site A, connected")
    service.working()
    service.stopping()
    assert heard(manager) == ["READY=1", "STATUS=site A, connected", "STOPPING=1"]


def test_the_abstract_namespace_is_written_with_an_at_sign() -> None:
    name = f"plancher-test-{os.getpid()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as sock:
        sock.bind(f"\0{name}")
        Notifier(f"@{name}").ready()
        sock.settimeout(5)
        assert sock.recv(100) == b"READY=1"


def test_the_watchdog_is_fed_only_as_often_as_needed(manager: socket.socket) -> None:
    service = Notifier(manager.getsockname(), watchdog_s=60)
    for _ in range(100):
        service.working()
    assert heard(manager) == ["WATCHDOG=1"]


@pytest.mark.parametrize(("asked", "fed"), [
    ({"WATCHDOG_USEC": "1000000"}, True),
    ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, True),
    ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, False),  # meant for another process
    ({"WATCHDOG_USEC": "0"}, False), ({"WATCHDOG_USEC": "soon"}, False), ({}, False),
])  # fmt: skip
def test_the_watchdog_is_fed_where_one_waits(
    manager: socket.socket, asked: dict[str, str], fed: bool
) -> None:
    given = environment(manager, **asked)
    Notifier.from_environment(given).working()
    assert heard(manager) == ["WATCHDOG=1"] * fed
    assert given == {"HOME": "/"}, "a child process inherits nothing of it"


def test_a_missing_or_unresponsive_manager_raises_nothing(tmp_path: Path) -> None:
    Notifier(str(tmp_path / "nobody")).ready()
    NOBODY.ready()
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        service = Notifier(str(tmp_path / "deaf"))
        for number in range(5000):  # more than any queue holds: the next one does not wait
            service.set_status(str(number))


async def test_the_watchdog_is_fed_without_a_fault_and_a_fault_is_logged_once(
    manager: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    faults = itertools.chain([None, "hangs", "hangs", None], itertools.repeat("gone"))
    asked = []

    async def fault() -> str | None:
        asked.append(next(faults))
        return asked[-1]

    attending = asyncio.create_task(Notifier(manager.getsockname(), watchdog_s=0.04).feed_watchdog(fault))
    while len(asked) < 7:
        await asyncio.sleep(0.001)
    attending.cancel()
    assert heard(manager) == ["WATCHDOG=1"] * 2
    assert caplog.messages == ["the watchdog is not fed: hangs", "the watchdog is not fed: gone"]
