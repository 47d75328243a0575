"""Weekly check of a ledger: it finds, reports, goes on after a restart, and begins anew."""

import asyncio
from pathlib import Path

import pytest

from collector.ledger.write.writer import Ledger
from collector.service import contents_watch
from collector.service.contents_watch import ContentsWatch
from tests.collector.examples import NOW_US
from tests.collector.ledger.filled import batch, change, commit


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(contents_watch, "LEAST_PAUSE_S", 0.0)
    monkeypatch.setattr(contents_watch, "WEEK_S", 0.0)
    ledger = Ledger(tmp_path / "ledger.db")
    for seq in range(1, 402):
        commit(ledger, batch(seq))
    ledger.close()
    return tmp_path / "ledger.db"


async def until_checked(watch: ContentsWatch) -> None:
    working = asyncio.ensure_future(watch.run())
    async with asyncio.timeout(60):
        while not watch.checked_us:
            await asyncio.sleep(0.01)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


def test_a_sound_ledger_has_no_damage(path: Path) -> None:
    watch = ContentsWatch(path, lambda: NOW_US)
    asyncio.run(until_checked(watch))
    assert (watch.problems, watch.checked_us) == (0, NOW_US)


def test_damage_is_counted_logged_and_known_to_the_next_start(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(path, "UPDATE stamp_values SET sent = 19 WHERE measurement_key = 7")
    change(path, "UPDATE names SET name = 'no-pass' WHERE key = 2")
    watch = ContentsWatch(path, lambda: NOW_US)
    asyncio.run(until_checked(watch))
    assert watch.problems == 2
    assert "damaged: table stamp_values, measurement_key 7: the row was altered" in caplog.text
    assert ContentsWatch(path, lambda: NOW_US).problems == 2


def test_a_check_goes_on_where_it_was_stopped(path: Path) -> None:
    change(path, "UPDATE stamp_values SET sent = 19 WHERE measurement_key IN (7, 300)")
    (path.parent / "ledger.db-check").write_text(f'{{"begun_us": {NOW_US - 5}, "after_key": 200}}')
    watch = ContentsWatch(path, lambda: NOW_US)
    asyncio.run(until_checked(watch))
    assert (watch.problems, watch.checked_us) == (1, NOW_US - 5)


@pytest.mark.parametrize("content", [b"", b"no json", b'{"after_key": "x"}'])
def test_a_state_file_that_is_none_begins_a_new_check(path: Path, content: bytes) -> None:
    (path.parent / "ledger.db-check").write_bytes(content)
    assert ContentsWatch(path, lambda: NOW_US).problems == 0


def test_a_ledger_that_cannot_be_read_is_damage_and_no_end(path: Path) -> None:
    change(path, "DROP TABLE stamp_values")
    watch = ContentsWatch(path, lambda: NOW_US)
    asyncio.run(until_checked(watch))
    assert watch.problems >= 1
