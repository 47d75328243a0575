"""The shell that looks every second: what it makes of a broker that goes and comes, and of who is away."""

import asyncio
from collections.abc import Callable

import pytest

from collector.live.blackout import GRACE_US
from collector.live.site_state import SiteState
from collector.model.inventory import Site
from collector.service import blackout_watch as attention
from collector.service.blackout_watch import REFUSED_US, BlackoutWatch
from collector.service.views import Views
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, seen, stamp

TEN = [f"C{number}" for number in range(10)]
OTHERS = [f"R{number}" for number in range(12)]


class Stand:
    """Views of a fleet that was just heard of, and a BlackoutWatch whose clock and broker the test moves."""

    def __init__(self) -> None:
        inventory = {name: Site(name, name, pop="Clermont-2") for name in TEN}
        inventory |= {name: Site(name, name) for name in OTHERS}
        self.now_us, self.works = NOW_US, True
        self.views = Views(inventory)
        self.views.render(inventory, NOW_US)
        self.measure([*TEN, *OTHERS])
        self.attention = BlackoutWatch(self.views, lambda: self.works, lambda: self.now_us, 2 * MINUTE_US)
        self.attention.heard()

    def measure(self, names: list[str]) -> None:
        order = self.now_us - NOW_US
        self.views.learn([seen(stamp(1, self.now_us), order, site=name) for name in names], self.now_us)

    def after(self, minutes: float) -> "Stand":
        self.now_us = NOW_US + round(minutes * MINUTE_US)
        return self

    def silent(self) -> int:
        self.views.expire(self.now_us, 1000)
        return sum(line.state is SiteState.SILENT for line in self.views.summaries)


def look(monkeypatch: pytest.MonkeyPatch, stand: Stand, *steps: Callable[[], object]) -> None:
    """Take the steps, each with some looks of BlackoutWatch after it."""
    monkeypatch.setattr(attention, "LOOK_SECONDS", 0.001)

    async def run() -> None:
        looking = asyncio.create_task(stand.attention.run())
        for step in steps:
            step()
            for _ in range(20):
                await asyncio.sleep(0.001)
        looking.cancel()

    asyncio.run(run())


def test_while_the_broker_is_away_nobody_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    stand, counted = Stand(), []

    def breaks() -> None:
        stand.after(0.5).works = False

    def returns() -> None:
        stand.after(30).works = True

    def count(minutes: float) -> None:
        stand.after(minutes)
        counted.append(stand.silent())

    look(
        monkeypatch,
        stand,
        breaks,
        lambda: count(29),
        returns,
        lambda: count(30.1),
        lambda: stand.after(33).measure(OTHERS),
        lambda: count(30 + GRACE_US / MINUTE_US - 0.1),
        lambda: count(30 + GRACE_US / MINUTE_US),
    )
    assert counted == [0, 0, 0, len(TEN)]


def test_the_spell_begins_with_the_last_thing_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that vanished without a word is noticed a minute later: that minute proves nothing either."""
    stand = Stand()

    def breaks() -> None:
        stand.after(6).works = False

    look(monkeypatch, stand, breaks)
    assert stand.silent() == 0


def test_of_a_fleet_that_died_long_before_a_broken_broker_hides_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand = Stand()

    def breaks() -> None:
        stand.after(60).works = False

    look(monkeypatch, stand, breaks)
    assert stand.silent() == len(TEN) + len(OTHERS)


def test_a_site_that_was_silent_with_ears_open_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand()

    def goes_on() -> None:
        stand.after(6)
        stand.measure(OTHERS)
        stand.attention.heard()
        assert stand.silent() == len(TEN)

    def breaks() -> None:
        stand.after(7).works = False

    look(monkeypatch, stand, goes_on, breaks)
    assert stand.silent() == len(TEN)
    assert [event.place for event in stand.views.events.events] == ["Clermont-2"]


def test_what_is_turned_away_for_want_of_room_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand()

    def refused() -> None:
        stand.after(4)
        stand.attention.refused()

    look(monkeypatch, stand, refused)
    assert stand.views.fleet.hearing.deaf
    stand.now_us += REFUSED_US
    look(monkeypatch, stand, lambda: None)
    assert not stand.views.fleet.hearing.deaf
    assert stand.silent() == 0


def test_a_collector_that_was_not_running_heard_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand()
    stand.after(600)
    stand.attention.begin(NOW_US + MINUTE_US)
    look(monkeypatch, stand, lambda: None)
    assert not stand.views.fleet.hearing.deaf
    assert stand.silent() == 0
    stand.now_us += GRACE_US
    assert stand.silent() == len(TEN) + len(OTHERS)
    assert stand.now_us > NOW_US + 10 * HOUR_US
