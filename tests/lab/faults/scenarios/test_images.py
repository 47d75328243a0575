"""A journal restored from an image: the slice that is quick enough; the clone is in ``make test-faults``."""

import pytest

from lab.faults.accounts.effort import Effort
from lab.faults.scenarios import images
from tests.servers import require


@pytest.mark.parametrize(("scene", "shown"), [
    ("restored", "the ledger shows two epochs after one"),
    ("lost", "the ledger shows two epochs after one"),
    ("put back", "the chain of epochs is whole"),
])  # fmt: skip
def test_a_restored_journal_swallows_nothing_and_shows(
    scene: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("mosquitto")
    monkeypatch.setattr(images, "SCENES", {scene: images.SCENES[scene]})
    monkeypatch.setattr(images, "SHORT_WHILE_S", 0.8)
    told: list[str] = []
    assert images.run(Effort(seed=1, short=True), told.append), told
    assert f"{scene}: {shown}: yes" in told
