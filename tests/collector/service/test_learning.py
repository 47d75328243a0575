"""Results of commits in their order, and the blackout before the start; without broker and writer."""

import asyncio
from pathlib import Path

import pytest

from collector.ledger.clock.redating import RedatedSite
from collector.ledger.write.commit_result import CommitResult, MessageResult
from collector.service import service as program_module
from collector.service.commit_results import LEARN_AT_ONCE
from collector.service.service import CollectorService
from collector.settings import CollectorSettings, LedgerSettings
from tests.collector.examples import HOUR_US, NOW_US, SITE, seen, stamp


def made(directory: Path) -> CollectorService:
    inventory = directory / "sites.csv"
    inventory.write_text(f"site_id,name\n{SITE},Lycée\n")
    return CollectorService(
        CollectorSettings(inventory=str(inventory), ledger=LedgerSettings(path=str(directory / "ledger.db")))
    )


def test_a_redated_measurement_is_not_shown_at_its_old_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group is learned in parts, and the re-dating arrives while some of it still waits."""
    monkeypatch.setattr(program_module, "now_us", lambda: NOW_US)
    program = made(tmp_path)
    before, after = seen(stamp(1)), seen(stamp(1, NOW_US - HOUR_US))
    empty, told = MessageResult(None, None), MessageResult(None, None, observations=(before,))
    group = CommitResult((empty,) * LEARN_AT_ONCE + (told,))

    async def learn() -> None:
        program._loop = asyncio.get_running_loop()
        program._hand_over(group, 0.0)
        program._hand_over(CommitResult(redated=(RedatedSite(SITE, (after,)),)), 0.0)
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(learn())
    site = program._views.fleet.get(SITE)
    program._ledger.close()
    assert site is not None
    assert site.newest_us == NOW_US - HOUR_US


def test_the_blackout_before_the_start_is_a_metric(tmp_path: Path) -> None:
    program = made(tmp_path)
    program._ledger.close()
    assert b"\nqos_collector_receiving 0.0\n" in program._counters.page(), (
        "nothing was received before the start"
    )
    program._views.fleet.blackouts.end(NOW_US)
    assert b"\nqos_collector_receiving 1.0\n" in program._counters.page()
