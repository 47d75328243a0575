"""Times in the ledger against the true ones: machines that boot at 1970, are set wrong, reboot offline."""

import random
from pathlib import Path

import pytest
from msgspec.structs import replace

from collector.ledger.write.writer import Ledger
from collector.live.fleet import Fleet
from collector.model.clock_correction import DELIVERY_US
from collector.model.observation import PassedOver
from tests.collector.examples import (
    HOUR_US,
    MINUTE_US,
    SITE,
    spread,
    stamp,
    stamp_values,
)
from tests.collector.ledger.filled import query
from tests.collector.ledger.site_machine import (
    SERVER_ERROR_US,
    Machine,
    assert_within_their_errors,
    idle,
    rows,
)
from wire.records import (
    FloorMeasurement,
    StampValues,
)

YEAR_US = 31_557_600_000_000
DAY_US = 86_400_000_000


def test_a_machine_that_boots_at_1970_with_ntp_blocked_is_corrected_by_its_sending(
    ledger: Ledger, path: Path
) -> None:
    machine = Machine().at_1970()
    for _ in range(60):
        machine.measure()
        (seen,) = machine.send(ledger, delay_us=random.Random(7).randrange(5_000_000)).observations
        assert abs(seen.time_us - machine.now_us) < 10_000_000
    assert_within_their_errors(path, machine, DELIVERY_US + 2 * HOUR_US // 10_000)
    claims = [time_us + offset_us for _, _, time_us, offset_us, *_ in rows(path)]
    assert all(claim_us < YEAR_US for claim_us in claims), "1970, and derivable"


def test_with_ntp_blocked_for_good_the_peers_word_is_better_than_any_arrival(
    ledger: Ledger, path: Path
) -> None:
    machine = Machine().at_1970()
    machine.measure()
    machine.send(ledger, delay_us=40_000_000)
    machine.hear_of_peer()
    for _ in range(5):
        machine.measure()
        machine.send(ledger, delay_us=40_000_000)
    idle(ledger)
    assert_within_their_errors(path, machine, 5000 + HOUR_US // 10_000)


def test_what_was_measured_before_the_first_synchronisation_is_placed_by_it(
    ledger: Ledger, path: Path
) -> None:
    machine = Machine().at_1970()
    machine.measure()
    machine.send(ledger, delay_us=30_000_000)
    (loose,) = [error_us for *_, error_us, _, _ in rows(path)]
    assert loose == DELIVERY_US
    machine.measure()
    machine.synchronise()
    machine.send(ledger)
    redated = idle(ledger)
    drifted_us = 10 * MINUTE_US // 10_000
    assert_within_their_errors(path, machine, SERVER_ERROR_US + drifted_us)
    assert [one.site for one in redated] == [SITE]
    assert idle(ledger) == []


def test_an_outage_of_which_the_end_alone_knew_the_time(ledger: Ledger, path: Path) -> None:
    """A week offline at 1970, of which a part was sent before the clock was right: more than one portion."""
    machine = Machine().at_1970()
    for _ in range(700):
        machine.measure(every_us=15 * MINUTE_US)
    machine.send(ledger)
    machine.synchronise()
    while machine.unsent:
        machine.send(ledger, most=50)
    _, more = ledger.redate()
    assert more
    redated = idle(ledger)
    assert [one.site for one in redated] == [SITE], "told once, when all is placed"
    assert_within_their_errors(path, machine, SERVER_ERROR_US + 8 * DAY_US // 10_000)


def test_what_a_failed_transaction_had_gone_through_is_gone_through_again(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine().at_1970()
    for _ in range(400):
        machine.measure()
    machine.send(ledger)
    machine.synchronise()
    machine.send(ledger)

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    ledger.redate()  # the first 300
    with monkeypatch.context() as patched:
        patched.setattr("collector.ledger.clock.redating.redated_site", fail)
        with pytest.raises(ZeroDivisionError):
            ledger.redate()
    idle(ledger)
    assert_within_their_errors(path, machine, SERVER_ERROR_US + DAY_US // 10_000)


def test_what_was_placed_anew_is_told_also_when_a_group_failed_meanwhile(ledger: Ledger, path: Path) -> None:
    machine = half_placed_anew(ledger)
    machine.unsent = [stamp(1, epoch="ff" * 8)]

    def fail() -> None:
        raise ZeroDivisionError

    ledger._before_commit, before = fail, ledger._before_commit
    with pytest.raises(ZeroDivisionError):
        machine.send(ledger)
    ledger._before_commit = before
    assert [one.site for one in idle(ledger)] == [SITE]
    assert_within_their_errors(path, machine, SERVER_ERROR_US + DAY_US // 10_000)


def test_what_was_placed_anew_is_told_also_when_still_more_is_known_meanwhile(
    ledger: Ledger, path: Path
) -> None:
    machine = half_placed_anew(ledger)
    machine.now_us += 12 * 30 * DAY_US
    machine.measure()
    machine.send(ledger)
    assert [one.site for one in idle(ledger)] == [SITE]
    assert_within_their_errors(path, machine, SERVER_ERROR_US + 360 * DAY_US // 10_000)


def half_placed_anew(ledger: Ledger) -> Machine:
    """A portion of one boot of 300 measurements is; its end is still to be found."""
    machine = Machine().at_1970()
    for _ in range(300):
        machine.measure()
    machine.send(ledger)
    machine.synchronise()
    machine.send(ledger)
    assert ledger.redate() == ([], True)
    return machine


def test_a_boot_that_was_never_synchronised_nor_sent_from_is_bounded_by_its_neighbours(
    ledger: Ledger, path: Path
) -> None:
    machine = Machine(synchronised=True)
    machine.measure()
    machine.send(ledger)
    machine.reboot()
    for _ in range(5):
        machine.measure()
    machine.reboot()
    machine.measure()
    machine.synchronise()
    committed = machine.send(ledger)
    assert committed.passed_over.count(PassedOver.UNDATED) == 5
    assert idle(ledger)
    assert_within_their_errors(path, machine, 10 * MINUTE_US)
    sources = query(path, "SELECT name FROM boots JOIN names ON names.key = source_key ORDER BY boots.key")
    assert [name for (name,) in sources] == ["synchronised", "synchronised", "neighbours"]
    assert query(path, "SELECT count(*) FROM measurements WHERE outdated") == [(0,)]


def test_without_any_bound_nothing_is_invented(ledger: Ledger, path: Path) -> None:
    machine = Machine().at_1970()
    machine.measure()
    machine.reboot()
    machine.measure()
    machine.send(ledger)
    idle(ledger)
    found = {
        epoch: (time_us, error_us, outdated) for epoch, _, time_us, _, error_us, _, outdated in rows(path)
    }
    assert found[f"{1:016x}"] == (360_000_000, None, 1), "the first boot of all: its claim, and no error"
    assert found[f"{2:016x}"][1] == DELIVERY_US


@pytest.mark.parametrize("step_us", [10 * YEAR_US, -10 * YEAR_US])
def test_a_clock_set_by_ten_years_in_mid_run(ledger: Ledger, path: Path, step_us: int) -> None:
    machine = Machine(synchronised=True)
    for number in range(20):
        machine.measure()
        if number == 9:
            machine.set_by(step_us)
        if number % 3 == 0:
            machine.send(ledger)
    machine.send(ledger)
    idle(ledger)
    assert_within_their_errors(path, machine, SERVER_ERROR_US + HOUR_US // 10_000)
    assert query(path, "SELECT count(*) FROM measurements WHERE ahead OR outdated") == [(0,)]


def test_a_boot_id_that_changes_in_mid_epoch(ledger: Ledger, path: Path) -> None:
    """A journal that was moved to another machine while it was open: same epoch, next boot."""
    machine = Machine(synchronised=True)
    machine.measure()
    machine.boots, machine.booted_us = 2, machine.now_us
    machine.at_1970()
    machine.measure()
    machine.boots, machine.booted_us = 3, machine.now_us
    machine.at_1970()
    machine.measure()
    machine.send(ledger)
    idle(ledger)
    assert_within_their_errors(path, machine, DELIVERY_US + 3 * MINUTE_US)
    assert {epoch for epoch, *_ in rows(path)} == {machine.epoch}


def test_views_learn_of_what_was_hidden_by_a_wrong_clock(ledger: Ledger, path: Path) -> None:
    """The newest verdict of the site came from a boot of which nothing was known at first."""
    machine = Machine(synchronised=True)
    machine.measure(FloorMeasurement)
    fleet = Fleet({})
    fleet.learn(machine.send(ledger).observations, machine.now_us)
    machine.reboot()
    machine.measure(FloorMeasurement)
    verdict_us = machine.now_us
    machine.reboot()
    machine.synchronise()
    fleet.learn(machine.send(ledger).observations, machine.now_us)
    (before_us,) = newest_floor(fleet)
    for redated in idle(ledger):
        fleet.relearn(redated.site, redated.observations, redated.outages)
    (after_us,) = newest_floor(fleet)
    assert before_us < verdict_us - MINUTE_US
    assert abs(after_us - verdict_us) < 3 * MINUTE_US


def newest_floor(fleet: Fleet) -> list[int]:
    site = fleet.get(SITE)
    assert site is not None
    return [state.newest.time_us for series, state in site.series.items() if series.probe == "floor"]


@pytest.mark.parametrize(("off_us", "told"), [(0, 500), (20 * YEAR_US, None)])
def test_no_one_way_delay_of_a_clock_that_is_not_believed_is_in_the_ledger(
    ledger: Ledger, path: Path, off_us: int, told: int | None
) -> None:
    machine = Machine(synchronised=True, wall_off_us=off_us)
    values = replace(stamp_values(), delay_forward=spread(500), delay_return=spread(500))
    machine.unsent.append(stamp(1, start=machine.clock(), values=values))
    committed = machine.send(ledger)
    assert query(path, "SELECT delay_forward_p50_us, delay_return_p50_us FROM stamp_values") == [(told, told)]
    assert query(path, "SELECT rtt_p50_us FROM stamp_values") == [(10_400,)]
    (seen,) = committed.observations
    assert isinstance(seen.values, StampValues)
    assert (seen.values.delay_forward is None) is (told is None)


def test_a_restart_of_the_collector_goes_on_with_what_it_knew(path: Path) -> None:
    machine = Machine().at_1970()
    first = Ledger(path)
    machine.measure()
    machine.synchronise()
    machine.send(first)
    first.close()
    machine.synchronised, machine.wall_off_us = False, -machine.booted_us
    second = Ledger(path)
    machine.measure()
    machine.send(second, delay_us=50_000_000)
    idle(second)
    second.close()
    assert_within_their_errors(path, machine, SERVER_ERROR_US + HOUR_US // 10_000)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_clocks_no_time_is_further_off_than_it_says(
    ledger: Ledger, path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    machine = Machine(drift=chance.uniform(-90e-6, 90e-6)).at_1970()
    happenings = [
        lambda: machine.reboot(chance.randrange(DAY_US)),
        lambda: machine.set_by(chance.choice([10 * YEAR_US, -10 * YEAR_US, HOUR_US])),
        machine.synchronise,
        lambda: None if machine.synchronised else machine.hear_of_peer(chance.randrange(2_000_000)),
        lambda: machine.send(ledger, chance.randrange(DELIVERY_US), chance.randrange(1, 20)),
        lambda: machine.send(ledger, chance.randrange(DELIVERY_US)),
        lambda: idle(ledger),
    ]
    for _ in range(120):
        for _ in range(chance.randrange(4)):
            machine.measure(every_us=chance.randrange(1, HOUR_US))
        chance.choice(happenings)()
        assert_within_their_errors(path, machine)
    while machine.unsent:
        machine.send(ledger)
    machine.measure(every_us=DAY_US)  # some records were refused, so the last boots wait a day for them
    machine.send(ledger)
    idle(ledger)
    assert_within_their_errors(path, machine)
    known_us = min(machine.true_us[row[:2]] for row in rows(path) if row[4] is not None)
    unknown_us = [machine.true_us[row[:2]] for row in rows(path) if row[4] is None]
    assert max(unknown_us, default=0) < known_us, "only before the first time that is known of all"
