"""A journal restored from an image: the slice that is quick enough; the clone is in ``make test-faults``."""

import pytest

from lab.faults.accounts.effort import Effort
from lab.faults.scenarios import images
from tests.servers import require


@pytest.mark.parametrize("scene", ["restored", "lost", "put back"])
def test_a_restored_journal_swallows_nothing_and_shows(scene: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require("mosquitto")
    monkeypatch.setattr(images, "SCENES", {scene: images.SCENES[scene]})
    monkeypatch.setattr(images, "SHORT_WHILE_S", 0.8)
    told: list[str] = []
    assert images.run(Effort(seed=1, short=True), told.append), told
    assert f"{scene}: the ledger shows two epochs after one: yes" in told
