"""Sentences about the cost of searches, before and after them."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.commands.searches import UNRECORDED, Searches
from agent.configuration import SETTINGS
from agent.probes.capacity.byte_budget import ByteBudget
from agent.service import wiring
from agent.settings.sections import JournalSettings, PeerAccessSettings
from agent.task.task import ProbeContext
from tests.agent.fakes import FakeClock
from tests.outbox.journalled import CLOCK
from wire.records import CapacityMeasurement, Direction, Measurement, Outcome, Purpose, StampMeasurement

MB = 1_000_000
SEARCH = CapacityMeasurement(
    epoch="0" * 16, seq=1, purpose=Purpose.ON_DEMAND, peer="p", start=CLOCK, duration_us=1,
    outcome=Outcome.OK, direction=Direction.DOWN, bytes_sent=2 * MB, bytes_received=50 * MB,
)  # fmt: skip
TRAIN = StampMeasurement(
    epoch="0" * 16, seq=1, purpose=Purpose.ON_DEMAND, peer="p", start=CLOCK, duration_us=1,
    outcome=Outcome.OK, dscp=0, bytes_sent=3 * MB,
)  # fmt: skip


def searches(folder: Path, *, number: int = 2, day: int = 3000 * MB, month: int = 6000 * MB) -> Searches:
    clock = FakeClock()
    return Searches(number, number * 1_402_500_000, ByteBudget(folder / "b.json", day, month), clock.read)


@pytest.mark.parametrize(("number", "day", "told"), [
    (1, 3000 * MB, "capacity: fills the line in 1 direction and may cost up to 1.4 GB; byte budget: "),
    (2, 3000 * MB, "capacity: fills the line in 2 directions and may cost up to 2.81 GB; byte budget: "),
    (2, 200 * MB, "capacity: fills the line in 2 directions and may cost up to 200 MB; byte budget: "),
])  # fmt: skip
def test_the_most_is_the_worst_case_or_what_is_left(tmp_path: Path, number: int, day: int, told: str) -> None:
    assert searches(tmp_path, number=number, day=day).may_cost().startswith(told)


def test_the_searches_alone_are_counted_and_what_is_left_is_the_budgets(tmp_path: Path) -> None:
    made = searches(tmp_path, month=500 * MB)
    made.budget.book(104 * MB, made.clock())
    records: list[Measurement] = [SEARCH, TRAIN, replace(SEARCH, direction=Direction.UP)]
    assert made.did_cost(records).startswith(
        "capacity: used 104 MB, 396 MB may still be spent; byte budget: 0.10 of 3.00 GB spent today, "
        "0.10 of 0.50 GB this month; renews "
    )


def test_a_cost_that_cannot_be_recorded_is_counted_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "b.json").mkdir()
    made = searches(tmp_path)
    made.budget.book(1000 * MB, made.clock())
    told = made.did_cost([])
    assert "2 GB may still be spent; byte budget: 1.00 of 3.00 GB spent today" in told
    assert told.endswith(UNRECORDED)


def test_they_are_those_that_the_settings_ask_for(tmp_path: Path) -> None:
    settings = SETTINGS(
        "A", PeerAccessSettings(key="k"), journal=JournalSettings(path=str(tmp_path / "journal.db"))
    )
    built_from: ProbeContext = wiring.probe_context(settings, FakeClock().read)
    tasks = wiring.tasks(built_from)
    found = Searches.among(tasks, built_from)
    assert found is not None
    assert found.number == 2
    assert found.may_cost().startswith("capacity: fills the line in 2 directions and may cost up to 2.8")
    rest = {task: probe for task, probe in tasks.items() if task.probe != "capacity"}
    assert Searches.among(rest, built_from) is None
