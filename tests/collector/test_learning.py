"""What the program's views make of commits, in what order: without broker and writer."""

import asyncio
from pathlib import Path

import pytest

from collector import program as program_module
from collector.ledger.commit import Settled
from collector.ledger.replacing import Moved
from collector.program import LEARN_AT_ONCE, Program
from collector.settings import CollectorSettings, Ledger
from tests.collector.examples import HOUR_US, NOW_US, SITE, seen, stamp


def test_what_was_placed_anew_is_not_shown_again_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group is learnt in parts; what was placed anew after its commit comes over while some wait."""
    monkeypatch.setattr(program_module, "now_us", lambda: NOW_US)
    inventory = tmp_path / "sites.csv"
    inventory.write_text(f"site_id,name\n{SITE},Lycée\n")
    settings = CollectorSettings(inventory=str(inventory), ledger=Ledger(path=str(tmp_path / "ledger.db")))
    program = Program(settings)
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
