"""What the program makes of commits, in what order, and whether it hears: without broker and writer."""

import asyncio
from pathlib import Path

import pytest

from collector.ledger.clock.redating import Moved
from collector.ledger.write.commit_result import Settled
from collector.service import service as program_module
from collector.service.service import LEARN_AT_ONCE, CollectorService
from collector.settings import CollectorSettings, LedgerSettings
from tests.collector.examples import HOUR_US, NOW_US, SITE, seen, stamp


def made(directory: Path) -> CollectorService:
    inventory = directory / "sites.csv"
    inventory.write_text(f"site_id,name\n{SITE},Lycée\n")
    return CollectorService(
        CollectorSettings(inventory=str(inventory), ledger=LedgerSettings(path=str(directory / "ledger.db")))
    )


def test_what_was_placed_anew_is_not_shown_again_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group is learnt in parts; what was placed anew after its commit comes over while some wait."""
    monkeypatch.setattr(program_module, "now_us", lambda: NOW_US)
    program = made(tmp_path)
    before, after = seen(stamp(1)), seen(stamp(1, NOW_US - HOUR_US))
    group = [Settled(None)] * LEARN_AT_ONCE + [Settled(None, (before,))]

    async def hear() -> None:
        program._loop = asyncio.get_running_loop()
        program._hand_over(group, 0.0)
        program._hand_over([Settled(None, moved=(Moved(SITE, (after,)),))], 0.0)
        for _ in range(5):
            await asyncio.sleep(0)

    asyncio.run(hear())
    site = program._views.fleet.get(SITE)
    program._ledger.close()
    assert site is not None
    assert site.newest_us == NOW_US - HOUR_US


def test_it_tells_whether_it_hears(tmp_path: Path) -> None:
    program = made(tmp_path)
    program._ledger.close()
    assert b"\nqos_collector_hearing 0.0\n" in program._meters.page(), "nothing came in before it ran"
    program._views.fleet.hearing.regain(NOW_US)
    assert b"\nqos_collector_hearing 1.0\n" in program._meters.page()
