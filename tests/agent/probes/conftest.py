"""The floor probe without waiting: no pauses, and a clock that is moved on by the tests that it runs."""

import pytest

from agent.load import line_meter as load_meter
from agent.probes.floor import fixed_rate
from agent.probes.floor import probe as floor
from tests.agent.probes.floor_lines import Clock


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(floor, "SETTLE_S", 0)
    monkeypatch.setattr(floor, "BUSY_PAUSE_S", 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(load_meter, "time", clock)
    monkeypatch.setattr(fixed_rate, "time", clock)
    return clock
