"""Boots that only their neighbours tell of: looked at when something is new, and not otherwise."""

import random
from pathlib import Path

import pytest

from collector.ledger.clock import bounding
from collector.ledger.clock.lookout import BOUND, EVERY_SEQ, OF_BOOT, End, Lookout, Spans, Stretch
from collector.ledger.write.commit import Ledger
from tests.collector.examples import HOUR_US
from tests.collector.ledger.filled import query
from tests.collector.ledger.site_machine import Machine, assert_within_their_errors

ANCHORS = (
    "SELECT n.name, b.offset_us, b.error_us, s.name FROM boots b JOIN names n ON n.key = b.boot_key"
    " LEFT JOIN names s ON s.key = b.source_key ORDER BY n.name"
)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The boots that are looked at, by their keys."""
    found: list[int] = []
    look = bounding._Surroundings.between

    def note(self: bounding._Surroundings, parts: list[object]) -> object:
        found.append(self.boot[1])
        return look(self, parts)

    monkeypatch.setattr(bounding._Surroundings, "between", note)
    return found


def settle(ledger: Ledger, looked: list[int]) -> None:
    """Until a round looks at nothing."""
    more, before = True, -1
    while more or len(looked) != before:
        before = len(looked)
        _, more = ledger.place_anew()


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


@pytest.mark.parametrize("known_before", [True, False])
def test_while_nothing_is_new_no_boot_is_looked_at(
    ledger: Ledger, looked: list[int], *, known_before: bool
) -> None:
    """Whether they are bounded by now or nothing bounds them."""
    clockless(ledger, 30, known_before=known_before)
    settle(ledger, looked)
    assert len(set(looked)) == 30
    looked.clear()
    for _ in range(5):
        ledger.place_anew()
    assert looked == []


def test_what_a_site_goes_on_to_measure_makes_no_boot_worth_another_look(
    ledger: Ledger, looked: list[int]
) -> None:
    machine = clockless(ledger, 3)
    settle(ledger, looked)
    looked.clear()
    for _ in range(5):
        machine.measure()
        machine.send(ledger)
        ledger.place_anew()
    assert looked == []


def test_a_further_measurement_of_a_boot_is_worth_a_look_at_it_alone(
    ledger: Ledger, looked: list[int], path: Path
) -> None:
    machine = clockless(ledger, 1)
    machine.reboot()
    machine.measure()
    machine.measure()
    kept, machine.unsent = machine.unsent[:1], machine.unsent[1:]
    machine.reboot()
    machine.synchronise()
    machine.send(ledger)
    settle(ledger, looked)
    looked.clear()
    machine.unsent = kept
    machine.send(ledger)
    settle(ledger, looked)
    assert len(looked) == 1
    assert_within_their_errors(path, machine, HOUR_US)


def test_a_nearer_neighbour_is_worth_a_look(ledger: Ledger, looked: list[int], path: Path) -> None:
    """The backlog of the boot before comes later than that of the one after, as agents send."""
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
    settle(ledger, looked)
    assert max(error_us for _, _, error_us, _ in query(path, ANCHORS)) > 4 * HOUR_US
    machine.unsent = kept
    machine.send(ledger)
    settle(ledger, looked)
    assert_within_their_errors(path, machine, HOUR_US)


def test_that_a_journal_continues_another_is_worth_a_look(
    ledger: Ledger, looked: list[int], path: Path
) -> None:
    machine = Machine(synchronised=True)
    machine.measure()
    machine.send(ledger)
    machine.reboot()
    machine.measure()
    machine.reboot()
    machine.synchronise()
    mark, machine._mark = machine._mark, lambda number: mark(machine.epochs)  # type: ignore[method-assign]
    machine.send(ledger)
    settle(ledger, looked)
    assert query(path, "SELECT count(*) FROM boots WHERE offset_us IS NULL") == [(1,)]
    machine._mark = mark  # type: ignore[method-assign]
    machine.send(ledger)
    settle(ledger, looked)
    assert query(path, "SELECT count(*) FROM boots WHERE offset_us IS NULL") == [(0,)]
    assert_within_their_errors(path, machine, HOUR_US)


@pytest.mark.parametrize("seed", range(8))
def test_a_restart_that_looks_at_everything_finds_nothing_that_was_not_found(
    path: Path, looked: list[int], seed: int
) -> None:
    chance = random.Random(seed)
    machine, ledger = Machine(drift=chance.uniform(-90e-6, 90e-6)).at_1970(), Ledger(path)
    happenings = [
        lambda: machine.reboot(chance.randrange(HOUR_US)),
        lambda: machine.reboot(chance.randrange(HOUR_US)),
        machine.synchronise,
        lambda: machine.send(ledger, chance.randrange(1_000_000), chance.randrange(1, 20)),
        lambda: ledger.place_anew(),
    ]
    for _ in range(120):
        for _ in range(chance.randrange(4)):
            machine.measure(every_us=chance.randrange(1, HOUR_US))
        chance.choice(happenings)()
    while machine.unsent:
        machine.send(ledger, most=20)
    settle(ledger, looked)
    ledger.close()
    found = query(path, ANCHORS)
    assert "neighbours" in {source for *_, source in found}
    looked.clear()
    again = Ledger(path)
    settle(again, looked)
    again.close()
    assert looked
    assert query(path, ANCHORS) == found
    assert_within_their_errors(path, machine)


def test_what_a_failed_transaction_had_looked_at_is_looked_at_again(
    ledger: Ledger, looked: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    clockless(ledger, 3, known_before=False)
    settle(ledger, looked)
    looked.clear()

    def fail() -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "_before_commit", fail)
        with pytest.raises(ZeroDivisionError):
            ledger.commit([])
    settle(ledger, looked)
    assert len(looked) == 3


def work_of_a_look(path: Path, epochs: int) -> int:
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
    ledger.place_anew()
    ledger.close()
    return steps


def test_a_boot_of_many_epochs_costs_as_many_times_as_much(tmp_path: Path, looked: list[int]) -> None:
    few, many = (work_of_a_look(tmp_path / f"{epochs}.db", epochs) for epochs in (150, 600))
    assert looked
    assert 0 < many < 6 * few


def spans(*of: tuple[int, int]) -> Spans:
    found = Spans()
    for epoch_key, seq in of:
        found.add(epoch_key, seq)
    return found


def taken(lookout: Lookout) -> list[tuple[int, int]]:
    return list(iter(lookout.take, None))


@pytest.mark.parametrize(
    ("seqs", "is_due"),
    [((4, 4), False), ((5, 5), True), ((10, 10), True), ((11, 90), False), ((1, 99), True)],
)
def test_a_boot_is_due_when_a_time_is_known_within_what_it_rests_on(
    seqs: tuple[int, int], *, is_due: bool
) -> None:
    lookout = Lookout()
    lookout.wait((1, 1), (Stretch(7, 5, 10),))
    lookout.dated(spans((8, 7), *((7, seq) for seq in seqs)))
    assert taken(lookout) == ([(1, 1)] if is_due else [])
    lookout.dated(spans((7, 7)))
    assert (lookout.take() is not None) is not is_due, "once, until it is looked at again"


def test_its_own_times_are_no_news_to_a_boot() -> None:
    lookout = Lookout()
    for boot in ((1, 1), (1, 2)):
        lookout.wait(boot, (Stretch(7, 5, EVERY_SEQ),))
    lookout.dated(spans((7, 9)), of=(1, 1))
    assert taken(lookout) == [(1, 2)]


def test_a_chain_of_epochs_is_news_at_the_end_that_was_found() -> None:
    lookout = Lookout()
    lookout.wait((1, 1), (End(7, later=True),))
    lookout.wait((1, 2), (End(7, later=False),))
    lookout.chained(epoch_key=6, previous_key=5)
    assert taken(lookout) == []
    lookout.chained(epoch_key=8, previous_key=7)
    assert taken(lookout) == [(1, 1)]
    lookout.chained(epoch_key=7, previous_key=6)
    assert taken(lookout) == [(1, 2)]


def test_each_site_has_its_turn() -> None:
    lookout = Lookout()
    for boot in ((1, 1), (1, 2), (1, 3), (2, 4), (3, 5)):
        lookout.call(boot)
    lookout.call((1, 1))
    assert taken(lookout) == [(1, 1), (2, 4), (3, 5), (1, 2), (1, 3)]


def test_beyond_the_bound_all_is_forgotten_and_looked_for_anew() -> None:
    lookout = Lookout()
    for boot_key in range(BOUND):
        lookout.wait((1, boot_key), ())
    assert lookout.generation == 0
    lookout.call((2, 1))
    assert (lookout.generation, taken(lookout)) == (1, [(2, 1)])


def places(number: int) -> tuple[Stretch, ...]:
    return tuple(Stretch(epoch_key, 1, 2) for epoch_key in range(number))


def test_what_boots_rest_on_counts_and_is_forgotten_with_them() -> None:
    lookout = Lookout()
    for boot_key in range(10):
        lookout.wait((1, boot_key), places(BOUND // 10 - 1))
    assert lookout.generation == 0
    for _ in range(5):
        lookout.call((1, 3))
        lookout.take()
        lookout.wait((1, 3), places(BOUND // 10 - 1))
    assert lookout.generation == 0, "looked at again it counts no more than before"
    lookout.wait((1, 10), places(1))
    assert (lookout.generation, list(lookout._waiting)) == (1, [(1, 10)])


def test_one_boot_of_many_epochs_has_nothing_forgotten() -> None:
    lookout = Lookout()
    for _ in range(3):
        lookout.call((1, 1))
        assert lookout.take() == (1, 1)
        lookout.wait((1, 1), places(2 * BOUND))
    lookout.call((1, 2))
    assert (lookout.generation, len(lookout._waiting[(1, 1)])) == (0, OF_BOOT)
    lookout.dated(spans((OF_BOOT - 1, 1)))
    assert taken(lookout) == [(1, 2), (1, 1)]
