"""Blackouts and incidents as the watch makes them, with a broker that fails and returns."""

import asyncio
from collections.abc import Callable

import pytest

from collector.live.blackout import GRACE_US
from collector.live.site_state import SiteState
from collector.model.inventory import Site
from collector.service import blackout_watch
from collector.service.blackout_watch import REFUSED_US, BlackoutWatch
from collector.service.views import Views
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, seen, stamp

TEN = [f"C{number}" for number in range(10)]
OTHERS = [f"R{number}" for number in range(12)]


class WatchedFleet:
    """Views of a fleet that just measured, and a BlackoutWatch whose clock and broker the test controls."""

    def __init__(self) -> None:
        inventory = {name: Site(name, name, pop="Clermont-2") for name in TEN}
        inventory |= {name: Site(name, name) for name in OTHERS}
        self.now_us, self.works = NOW_US, True
        self.views = Views(inventory)
        self.views.render(inventory, NOW_US)
        self.measure([*TEN, *OTHERS])
        self.blackout_watch = BlackoutWatch(
            self.views, lambda: self.works, lambda: self.now_us, 2 * MINUTE_US
        )
        self.blackout_watch.committed()

    def measure(self, names: list[str]) -> None:
        order = self.now_us - NOW_US
        self.views.learn([seen(stamp(1, self.now_us), order, site=name) for name in names], self.now_us)

    def after(self, minutes: float) -> "WatchedFleet":
        self.now_us = NOW_US + round(minutes * MINUTE_US)
        return self

    def breaks(self, minutes: float) -> Callable[[], None]:
        """Step in which the broker fails after so many minutes."""

        def step() -> None:
            self.after(minutes).works = False

        return step

    def silent(self) -> int:
        self.views.expire(self.now_us, 1000)
        return sum(line.state is SiteState.SILENT for line in self.views.summaries)


def look(monkeypatch: pytest.MonkeyPatch, fleet: WatchedFleet, *steps: Callable[[], object]) -> None:
    """Take the steps, and let BlackoutWatch look some times after each."""
    monkeypatch.setattr(blackout_watch, "LOOK_SECONDS", 0.001)

    async def run() -> None:
        looking = asyncio.create_task(fleet.blackout_watch.run())
        for step in steps:
            step()
            for _ in range(20):
                await asyncio.sleep(0.001)
        looking.cancel()

    asyncio.run(run())


def test_no_site_becomes_silent_without_a_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, counted = WatchedFleet(), []

    def returns() -> None:
        fleet.after(30).works = True

    def count(minutes: float) -> None:
        fleet.after(minutes)
        counted.append(fleet.silent())

    look(
        monkeypatch,
        fleet,
        fleet.breaks(0.5),
        lambda: count(29),
        returns,
        lambda: count(30.1),
        lambda: fleet.after(33).measure(OTHERS),
        lambda: count(30 + GRACE_US / MINUTE_US - 0.1),
        lambda: count(30 + GRACE_US / MINUTE_US),
    )
    assert counted == [0, 0, 0, len(TEN)]


def test_a_blackout_begins_with_the_last_committed_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead connection is noticed up to two minutes late, and nothing was received in that time."""
    for minutes, silent in ((6, 0), (60, len(TEN) + len(OTHERS))):
        fleet = WatchedFleet()
        look(monkeypatch, fleet, fleet.breaks(minutes))
        assert fleet.silent() == silent, "no blackout hides a fleet that was silent long before"


def test_a_site_silent_before_a_blackout_stays_silent_and_in_its_incident(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = WatchedFleet()

    def continues() -> None:
        fleet.after(6)
        fleet.measure(OTHERS)
        fleet.blackout_watch.committed()
        assert fleet.silent() == len(TEN)

    look(monkeypatch, fleet, continues, fleet.breaks(7))
    assert fleet.silent() == len(TEN)
    assert [incident.place for incident in fleet.views.incidents.incidents] == ["Clermont-2"]


def test_a_full_queue_is_a_blackout(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = WatchedFleet()

    def refused() -> None:
        fleet.after(4)
        fleet.blackout_watch.queue_refused()

    look(monkeypatch, fleet, refused)
    assert fleet.views.fleet.blackouts.is_open
    fleet.now_us += REFUSED_US
    look(monkeypatch, fleet, lambda: None)
    assert not fleet.views.fleet.blackouts.is_open
    assert fleet.silent() == 0


def test_the_time_before_the_start_is_a_blackout(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = WatchedFleet()
    fleet.after(600)
    fleet.blackout_watch.begin(NOW_US + MINUTE_US)
    look(monkeypatch, fleet, lambda: None)
    assert not fleet.views.fleet.blackouts.is_open
    assert fleet.silent() == 0
    fleet.now_us += GRACE_US
    assert fleet.silent() == len(TEN) + len(OTHERS)
    assert fleet.now_us > NOW_US + 10 * HOUR_US
