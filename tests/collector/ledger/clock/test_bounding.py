"""Boots that only their neighbours in the journal date: bounded once, when their backlog is there."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from collector.ledger.clock import bounding
from collector.ledger.write.writer import Ledger
from tests.collector.examples import HOUR_US
from tests.collector.ledger.filled import query
from tests.collector.ledger.site_machine import Machine, assert_within_their_errors, idle

UNDATED = "SELECT count(*) FROM measurements WHERE time_error_us IS NULL"
NEIGHBOURS = (
    "SELECT b.error_us FROM boots b JOIN names s ON s.key = b.source_key AND s.name = 'neighbours'"
    " ORDER BY b.key"
)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The boots that are searched for neighbours, by their keys."""
    found: list[int] = []
    search = bounding._Journal.befores

    def note(self: bounding._Journal) -> object:
        found.extend(self.boots)
        return search(self)

    monkeypatch.setattr(bounding._Journal, "befores", note)
    return found


def clockless(ledger: Ledger, boots: int, *, known_before: bool = True) -> Machine:
    """So many boots of five measurements, offline, between two that knew the time."""
    machine = Machine(synchronised=known_before)
    if known_before:
        machine.measure()
        machine.send(ledger)
    for _ in range(boots):
        machine.reboot()
        for _ in range(5):
            machine.measure()
    machine.reboot()
    machine.measure()
    machine.synchronise()
    while machine.unsent:
        machine.send(ledger)
    return machine


def after_a_long_outage(ledger: Ledger) -> tuple[Machine, list[object]]:
    """A boot before which ten hours are still in the journal of the site: returned as the second."""
    machine = Machine(synchronised=True)
    machine.measure()
    machine.send(ledger)
    machine.measure(every_us=10 * HOUR_US)
    kept = machine.unsent
    machine.unsent = []
    machine.reboot()
    machine.measure()
    machine.reboot()
    machine.synchronise()
    machine.send(ledger)
    return machine, kept  # type: ignore[return-value]


@pytest.mark.parametrize(("known_before", "undated"), [(True, 0), (False, 150)])
def test_each_boot_is_searched_once(
    ledger: Ledger, path: Path, searched: list[int], *, known_before: bool, undated: int
) -> None:
    """Boots before the first known time have no bound, and are undated from then on."""
    machine = clockless(ledger, 30, known_before=known_before)
    for _ in range(3):
        idle(ledger)
        machine.measure()
        machine.send(ledger)
    idle(ledger)
    assert len(searched) == len(set(searched)) == 30
    assert query(path, UNDATED) == [(undated,)]
    assert_within_their_errors(path, machine, None if undated else HOUR_US // 2)


def test_a_circle_of_epochs_ends() -> None:
    """No agent makes one, and a broken one must not stop the writer."""
    chained = [(1, "a", "c"), (2, "b", "a"), (3, "c", "b"), (4, "d", None), (5, "e", "d"), (6, "f", "gone")]
    rows = [SimpleNamespace(key=key, epoch=epoch, previous=previous) for key, epoch, previous in chained]
    beside, place = bounding._order(rows)
    assert beside[False] == {1: 3, 2: 1, 3: 2, 5: 4}
    assert beside[True] == {3: 1, 1: 2, 2: 3, 4: 5}
    assert (sorted(place[key] for key in (1, 2, 3)), place[4], place[5], place[6]) == ([0, 1, 2], 0, 1, 0)


def test_a_boot_waits_until_the_backlog_before_it_has_come(ledger: Ledger, path: Path) -> None:
    machine, kept = after_a_long_outage(ledger)
    idle(ledger)
    assert query(path, UNDATED) == [(1,)]
    machine.unsent = kept  # type: ignore[assignment]
    machine.send(ledger)
    idle(ledger)
    assert_within_their_errors(path, machine, HOUR_US)


def test_a_boot_waits_a_day_and_is_then_bounded_by_what_is_there(
    ledger: Ledger, path: Path, searched: list[int]
) -> None:
    machine, kept = after_a_long_outage(ledger)
    machine.measure(every_us=23 * HOUR_US)
    machine.send(ledger)
    idle(ledger)
    assert searched == []
    machine.measure(every_us=HOUR_US)
    machine.send(ledger)
    idle(ledger)
    ((error_us,),) = query(path, NEIGHBOURS)
    assert 5 * HOUR_US < error_us < 6 * HOUR_US, "half of what is between its neighbours"
    machine.unsent = kept  # type: ignore[assignment]
    machine.send(ledger)
    idle(ledger)
    assert query(path, NEIGHBOURS) == [(error_us,)], "once"
    assert_within_their_errors(path, machine)


def test_what_is_declared_lost_is_not_waited_for(ledger: Ledger, path: Path) -> None:
    machine, _ = after_a_long_outage(ledger)
    (kept,) = query(path, "SELECT key, high_water FROM epochs WHERE high_water > committed")
    assert kept[1] == 2
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE epochs SET declared = 1 WHERE key = {kept[0]}")
    idle(ledger)
    assert query(path, UNDATED) == [(0,)]
    assert_within_their_errors(path, machine)


def test_a_late_measurement_of_a_bounded_boot_is_dated_at_once(ledger: Ledger, path: Path) -> None:
    machine, kept = after_a_long_outage(ledger)
    machine.reboot()
    machine.measure()
    machine.measure(every_us=HOUR_US)
    late, machine.unsent = machine.unsent[-1:], machine.unsent[:-1] + kept  # type: ignore[operator]
    machine.reboot()
    machine.synchronise()
    machine.send(ledger)
    machine.measure(every_us=25 * HOUR_US)
    machine.send(ledger)
    idle(ledger)
    machine.unsent = late
    machine.send(ledger)
    assert query(path, UNDATED) == [(0,)]
    assert_within_their_errors(path, machine)


def test_a_better_anchor_still_dates_an_undated_boot(ledger: Ledger, path: Path) -> None:
    machine = Machine().at_1970()
    machine.hear_of_peer()
    kept, machine.unsent = machine.unsent, []
    machine.measure()
    machine.reboot()
    machine.synchronise()
    machine.send(ledger)
    machine.measure(every_us=25 * HOUR_US)
    machine.send(ledger)
    idle(ledger)
    assert query(path, UNDATED) == [(1,)]
    machine.unsent = kept
    machine.send(ledger)
    idle(ledger)
    assert query(path, UNDATED) == [(0,)]
    assert_within_their_errors(path, machine, HOUR_US)


def test_a_restart_searches_no_boot_again(path: Path, searched: list[int]) -> None:
    ledger = Ledger(path)
    clockless(ledger, 3)
    idle(ledger)
    ledger.close()
    searched.clear()
    again = Ledger(path)
    idle(again)
    again.close()
    assert searched == []


def test_a_failed_transaction_leaves_its_boots_waiting(
    ledger: Ledger, path: Path, searched: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clockless(ledger, 3)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(bounding.Clocks, "write", fail)
        with pytest.raises(ZeroDivisionError):
            idle(ledger)
    assert len(searched) == 3
    idle(ledger)
    assert len(searched) == 6
    assert query(path, UNDATED) == [(0,)]


def work_of_a_search(path: Path, epochs: int) -> int:
    """In hundreds of the database's own steps: a boot in which the agent was started so many times."""
    ledger, machine = Ledger(path), Machine(synchronised=True)
    machine.measure()
    machine.reboot()
    for _ in range(epochs):
        machine.measure(every_us=5_000_000)
        machine.lasts[machine.epochs] = machine.seq
        machine.epochs, machine.seq = machine.epochs + 1, 0
    machine.reboot()
    machine.synchronise()
    while machine.unsent:
        machine.send(ledger, most=50)
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with ledger._engine.connect() as connection:
        connection.connection.driver_connection.set_progress_handler(step, 100)
    ledger.redate()
    ledger.close()
    return steps


def test_a_boot_of_many_epochs_costs_as_many_times_as_much(tmp_path: Path, searched: list[int]) -> None:
    few, many = (work_of_a_search(tmp_path / f"{epochs}.db", epochs) for epochs in (150, 600))
    assert len(searched) == 2
    assert 0 < many < 6 * few
