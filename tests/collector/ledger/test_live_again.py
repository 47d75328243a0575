"""Live state as it grew is what the ledger would make of it anew, also where times were placed later."""

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from collector.ledger.clock import bounding
from collector.ledger.read import latest as reading
from collector.ledger.read import outages
from collector.ledger.write.writer import Ledger
from collector.model.inventory import Site
from collector.model.outages import KEPT_US
from collector.service.views import Views
from tests.collector.examples import HOUR_US, MINUTE_US, SITE, outage
from tests.collector.ledger.site_machine import Machine, idle
from wire.records import ClockReading

INVENTORY = {SITE: Site(SITE, "Lycée")}


def tell_outage(machine: Machine, name: str, begin: ClockReading | None = None) -> None:
    """Its beginning is seen, or was before the machine stopped; ten minutes on it is over."""
    begin = begin or machine.clock()
    machine.now_us += 10 * MINUTE_US
    end = machine.clock()
    values = replace(outage(1, 0, 0, name=name).values, begin=begin, end=end)
    machine._journal(outage(machine._next(), 0, 0, values=values, start=end, epoch=machine.epoch))


def learn(views: Views, ledger: Ledger, machine: Machine) -> None:
    """Do as the program does with a batch, and between batches."""
    while machine.unsent:
        views.learn(machine.send(ledger).observations, machine.now_us)
    views.relearn(idle(ledger), machine.now_us)


def rebuilt(path: Path, now_us: int) -> Views:
    """Do as the program does at its start."""
    views = Views(INVENTORY)
    views.fleet.restore(reading.newest(path))
    views.fleet.restore_outages(outages.outages(path, now_us - KEPT_US).outages)
    return views


def assert_same(views: Views, path: Path, now_us: int) -> None:
    (live,), (again,) = views.fleet, rebuilt(path, now_us).fleet
    assert live.outages.known == again.outages.known
    assert {name: state.newest for name, state in live.series.items()} == {
        name: state.newest for name, state in again.series.items()
    }


@pytest.mark.parametrize("synchronised", [True, False])
def test_an_outage_that_began_in_a_boot_of_which_the_clock_is_known(
    ledger: Ledger, path: Path, *, synchronised: bool
) -> None:
    """The power was cut. Where no clock can be set, all that is known of that boot is what was sent in it."""
    machine, views = Machine(), Views(INVENTORY)
    if not synchronised:
        machine.at_1970()
    else:
        machine.synchronise()
    machine.measure()
    learn(views, ledger, machine)
    begin, begin_us = machine.clock(), machine.now_us
    machine.reboot(HOUR_US)
    tell_outage(machine, "cut", begin)
    learn(views, ledger, machine)
    assert_same(views, path, machine.now_us)
    (site,) = views.fleet
    (told,) = site.outages.known.values()
    assert told.dated
    assert abs(told.begin_us - begin_us) < MINUTE_US
    assert site.counters.totals["qos_outages_total"].total() == 1


def test_outages_of_a_boot_that_is_placed_later(ledger: Ledger, path: Path) -> None:
    """Two of a boot that nothing was sent from, and one that began in it."""
    machine, views = Machine(synchronised=True), Views(INVENTORY)
    machine.measure()
    learn(views, ledger, machine)
    machine.reboot()
    tell_outage(machine, "first")
    tell_outage(machine, "second")
    begin = machine.clock()
    machine.reboot()
    tell_outage(machine, "third", begin)
    machine.synchronise()
    learn(views, ledger, machine)
    assert_same(views, path, machine.now_us)
    (site,) = views.fleet
    assert [each.dated for each in site.outages.known.values()] == [True] * 3


def test_outages_that_are_placed_better_when_the_clock_is_set(ledger: Ledger, path: Path) -> None:
    machine, views = Machine().at_1970(), Views(INVENTORY)
    for name in ("first", "second", "third"):
        tell_outage(machine, name)
        views.learn(machine.send(ledger, delay_us=40_000_000).observations, machine.now_us)
    machine.synchronise()
    learn(views, ledger, machine)
    assert_same(views, path, machine.now_us)


def test_an_outage_that_is_re_dated_to_before_the_last_day(
    ledger: Ledger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded by its neighbours it is within it; then the backlog brings the peer's time in that boot."""
    monkeypatch.setattr(bounding, "WAIT_US", 0)
    machine, views = Machine(synchronised=True), Views(INVENTORY)
    machine.measure()
    learn(views, ledger, machine)
    machine.reboot()
    machine.hear_of_peer()
    kept, machine.unsent = machine.unsent, []
    tell_outage(machine, "first")
    tell_outage(machine, "second")
    machine.reboot(29 * HOUR_US)
    machine.synchronise()
    machine.measure()
    learn(views, ledger, machine)
    (site,) = views.fleet
    assert set(site.outages.known) == {"first", "second"}
    machine.unsent = kept
    learn(views, ledger, machine)
    assert_same(views, path, machine.now_us)
    assert "first" not in site.outages.known


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("told_by", [Machine.hear_of_peer, Machine.synchronise])
def test_an_outage_that_began_in_a_boot_of_which_the_backlog_comes_after_it(
    ledger: Ledger, path: Path, told_by: Callable[[Machine], None], *, restarted: bool
) -> None:
    """The backlog brings its anchor along, so nothing is placed anew."""
    machine, views = Machine(synchronised=True), Views(INVENTORY)
    machine.measure()
    learn(views, ledger, machine)
    machine.reboot()
    begin, begin_us = machine.clock(), machine.now_us
    told_by(machine)
    machine.measure()
    kept, machine.unsent = machine.unsent, []
    machine.reboot(HOUR_US)
    machine.synchronise()
    tell_outage(machine, "cut", begin)
    learn(views, ledger, machine)
    if restarted:
        ledger.close()
        ledger, views = Ledger(path), rebuilt(path, machine.now_us)
    (site,) = views.fleet
    assert not site.outages.known["cut"].dated
    machine.unsent = kept
    learn(views, ledger, machine)
    ledger.close()
    assert_same(views, path, machine.now_us)
    assert site.outages.known["cut"].dated
    assert abs(site.outages.known["cut"].begin_us - begin_us) < MINUTE_US
