"""Behaviour of a site behind a broken broker: judgement, and a short run."""

import pytest

from lab.faults.accounts.effort import Effort
from lab.faults.scenarios import connections
from lab.faults.scenarios.connections import Bad
from tests.servers import require


def test_brokers_that_end_connections_are_noticed_and_lose_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    require("mosquitto")
    lines: list[str] = []
    assert connections.run(Effort(seed=1, short=True), lines.append), lines
    noticed = [line.split(":")[0] for line in lines if " noticed after " in line]
    assert noticed == list(connections.AT_ONCE)


def bad(noticed_s: float | None = 1.0, grown: int = 0, measured: int = 100, wanted: int = 100) -> Bad:
    return Bad("silent", noticed_s, grown, measured, wanted)


@pytest.mark.parametrize(("fared", "well"), [
    (bad(), True),
    (bad(noticed_s=90.1), False),
    (bad(noticed_s=None), False),
    (bad(grown=connections.MORE_MEMORY_BYTES + 1), False),
    (bad(measured=99), False),
])  # fmt: skip
def test_a_site_that_stops_grows_or_notices_nothing_has_failed(fared: Bad, well: bool) -> None:
    assert fared.well is well
    assert ("NOT noticed" in str(fared)) is (fared.noticed_s is None)
