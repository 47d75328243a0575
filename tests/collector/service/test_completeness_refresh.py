import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.ledger.write.writer import Ledger
from collector.model.completeness import MISSING_AFTER_US
from collector.model.inventory import Site
from collector.service import completeness_refresh as module
from collector.service.completeness_refresh import CompletenessRefresh
from collector.service.views import Views
from tests.collector.examples import NOW_US, SITE
from tests.collector.ledger.filled import batch, commit


def missing(views: Views) -> int:
    site = views.fleet.get(SITE)
    return site.defects.missing if site and site.defects else 0


def exposed(views: Views) -> bool:
    return b"qos_ledger_missing_measurements{" in b"".join(views.pieces())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_defects_are_refreshed_and_kept_while_the_ledger_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "COUNT_SECONDS", 0.01)
    path, moved = tmp_path / "ledger.db", tmp_path / "moved.db"
    ledger = Ledger(path)
    commit(ledger, batch(1, 4))
    views = Views({SITE: Site(SITE, "Lycée")})
    times = [NOW_US + MISSING_AFTER_US]
    refresh = CompletenessRefresh(path, views, lambda: times[0])
    refresh.begin()
    assert (missing(views), refresh.counted_us) == (2, times[0])

    async def run() -> None:
        running = asyncio.create_task(refresh.run())
        commit(ledger, batch(2))
        await until(lambda: missing(views) == 1)
        assert exposed(views)
        ledger.close()
        path.rename(moved)
        path.write_bytes(b"no database" * 1000)
        await until(lambda: "cannot count the completeness" in caplog.text)
        assert missing(views) == 1
        moved.rename(path)
        again = Ledger(path)
        commit(again, batch(3))
        again.close()
        await until(lambda: missing(views) == 0)
        assert not exposed(views)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
