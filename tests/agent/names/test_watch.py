"""Watch over addresses: what is learnt is on disk soon, and a disk that refuses is reported once."""

import asyncio
from pathlib import Path

import pytest

from agent.names import file, watch
from agent.names.watch import AddressWatch
from host.clock import Clock
from net.addresses.host import HostAddresses
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread


async def test_what_is_proved_is_written_also_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WRITE_EVERY_S", 0.01)
    thread = JournalThread(lambda: Journal(tmp_path / "journal.db", 10**8, Clock().read()))
    host = HostAddresses("peer.test", look_up=lambda _host, _family: ["192.0.2.1"])
    path = tmp_path / file.NAME
    running = asyncio.create_task(AddressWatch(host, HostAddresses("::1"), path, thread).run(lambda _: None))
    async with asyncio.timeout(10):
        while not file.read(path).peer.answered:
            await asyncio.sleep(0.01)
    monkeypatch.setattr(watch, "WRITE_EVERY_S", 60.0)
    await asyncio.sleep(0.05)
    host.prove("192.0.2.1")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await thread.close()
    assert file.read(path).peer.proved == ("192.0.2.1",)


async def test_a_disk_that_refuses_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "WRITE_EVERY_S", 0.01)
    thread = JournalThread(lambda: Journal(tmp_path / "journal.db", 10**8, Clock().read()))
    (tmp_path / "file").touch()
    host = HostAddresses("peer.test", look_up=lambda _host, _family: ["192.0.2.1"])
    watching = AddressWatch(host, HostAddresses("::1"), tmp_path / "file" / "x", thread)
    running = asyncio.create_task(watching.run(lambda _: None))
    async with asyncio.timeout(10):
        while "the next start depends on DNS" not in caplog.text:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await thread.close()
    assert caplog.text.count("the next start depends on DNS") == 1
