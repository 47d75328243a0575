"""The events that are shown: from live sites to metrics, and who is in which."""

import subprocess

from collector.incidents.correlation import Incident, Level, correlate
from collector.incidents.current import SHOWN_US
from collector.live.site_state import SiteState
from collector.model.inventory import Site
from collector.service.views import Views
from tests.collector.examples import MINUTE_US, NOW_US, failed, outage, seen, stamp
from tests.servers import require
from wire.records import Cause

CUT_US = NOW_US + 5 * MINUTE_US
TEN = [f"C{number}" for number in range(10)]
OTHERS = [f"R{number}" for number in range(20)]


def fleet() -> Views:
    """Ten sites of one POP and twenty of others, all just heard of."""
    inventory = {name: Site(name, name, "lycée", "63", pop="Clermont-2") for name in TEN}
    inventory |= {name: Site(name, name, departement="03", pop=f"pop-{name}") for name in OTHERS}
    made = Views(inventory)
    made.render(inventory, NOW_US)
    made.learn([seen(stamp(1), site=name) for name in inventory], NOW_US)
    return made


def goes_on(made: Views, names: list[str], until_us: int) -> None:
    """These sites are heard of until then, the others are not."""
    made.learn([seen(stamp(2, until_us), 2, site=name) for name in names], until_us)
    made.expire(until_us, 1000)
    if (taken := made.events.snapshot()) is not None:
        made.events.show(made.events.arrange(correlate(*taken)))


def text(made: Views) -> str:
    return b"".join(made.events.pieces()).decode()


def test_a_pop_that_is_cut_is_one_event_on_the_metrics_page() -> None:
    made = fleet()
    goes_on(made, OTHERS, CUT_US)
    (event,) = made.events.events
    assert (event.level, event.place, event.cause) == (Level.POP, "Clermont-2", Cause.UNKNOWN)
    assert [made.events.event_of(name) for name in ("C3", "R3")] == [event, None]
    lines = text(made).splitlines()
    assert 'qos_upstream_event_sites{level="pop",pop="Clermont-2"} 10' in lines
    begin = 'qos_upstream_event_begin_timestamp_seconds{level="pop",pop="Clermont-2",cause="unknown"}'
    assert f"{begin} {NOW_US / 1e6!r}" in lines
    labels = 'site_id="C3",category="lycée",departement="63",pop="Clermont-2",supplier="unknown"'
    assert f'qos_site_upstream_event{{{labels},level="pop"}} 1' in lines
    assert sum(line.startswith("qos_site_upstream_event{") for line in lines) == 10
    ran = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text(made), capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_those_that_come_back_say_whose_it_was_and_the_event_ends_with_the_last() -> None:
    made = fleet()
    goes_on(made, OTHERS, CUT_US)
    back_us = CUT_US + 4 * MINUTE_US
    told = [seen(outage(3, NOW_US + 9, back_us), 3, site=name) for name in TEN]
    made.learn(told[:4], back_us)
    goes_on(made, [*OTHERS, *TEN[:4]], back_us)
    (event,) = made.events.events
    assert (event.cause, len(event.sites), len(event.away)) == (Cause.ACCESS, 10, 6)
    assert 'qos_upstream_event_sites{level="pop",pop="Clermont-2"} 6' in text(made)
    made.learn(told[4:], back_us)
    goes_on(made, [*OTHERS, *TEN], back_us + 1)
    (event,) = made.events.events
    assert (event.begin_us, event.end_us, text(made)) == (NOW_US + 9, back_us, "")
    assert made.events.told(back_us + SHOWN_US - 1) == [event]
    assert made.events.told(back_us + SHOWN_US) == []


def test_when_most_of_the_fleet_falls_silent_no_site_is_named() -> None:
    made = fleet()
    goes_on(made, OTHERS[:2], CUT_US)
    (event,) = made.events.events
    assert (event.level, event.cause, len(event.away)) == (Level.FLEET, Cause.BROKER, 28)
    assert "\nqos_site_upstream_event" not in text(made)
    assert 'qos_upstream_event_sites{level="fleet"} 28\n' in text(made)


def test_a_dead_peer_is_told_as_the_peers_while_the_sites_are_heard() -> None:
    made = fleet()
    made.learn([seen(failed(2, CUT_US), 2, site=name) for name in (*TEN, *OTHERS)], CUT_US)
    taken = made.events.snapshot()
    assert taken is not None
    (event,) = correlate(*taken)
    assert (event.level, event.place, event.cause, len(event.away)) == (
        Level.PEER,
        "pop-1",
        Cause.PEER,
        30,
    )
    assert SiteState.SILENT not in {line.state for line in made.summaries}


def test_one_site_that_still_reaches_the_peer_in_ten_is_enough_to_say_that_it_lives() -> None:
    made = fleet()
    made.learn([seen(failed(2, CUT_US), 2, site=name) for name in (*TEN, *OTHERS[:16])], CUT_US)
    made.learn([seen(stamp(2, CUT_US), 2, site=name) for name in OTHERS[16:]], CUT_US)
    taken = made.events.snapshot()
    assert taken is not None
    assert correlate(*taken) == []


def test_two_events_of_one_place_are_one_sample() -> None:
    made = fleet()
    goes_on(made, OTHERS, CUT_US)
    (event,) = made.events.events
    half = len(event.absences) // 2
    first, second = (
        Incident(event.level, event.place, event.cause, part)
        for part in (event.absences[:half], event.absences[half:])
    )
    made.events.show(made.events.arrange([first, second]))
    assert 'qos_upstream_event_sites{level="pop",pop="Clermont-2"} 10\n' in text(made)


def test_sites_that_leave_the_inventory_leave_their_event() -> None:
    made = fleet()
    goes_on(made, OTHERS, CUT_US)
    left = {name: Site(name, name, pop="Clermont-2") for name in TEN[:6]}
    left |= {name: Site(name, name, pop=f"pop-{name}") for name in OTHERS}
    made.render(made.take_inventory(left), CUT_US)
    taken = made.events.snapshot()
    assert taken is not None
    (event,) = correlate(*taken)
    assert (len(event.sites), taken[1].sites, taken[1].pops["Clermont-2"]) == (6, 26, 6)


def test_nothing_is_made_anew_where_nothing_changed() -> None:
    made = fleet()
    assert made.events.snapshot() is not None
    made.learn([seen(stamp(2, NOW_US + 1), 2, site=name) for name in TEN], NOW_US + 1)
    assert made.events.snapshot() is None


def test_the_last_ones_that_stay_away_are_told_for_themselves() -> None:
    made = fleet()
    goes_on(made, OTHERS, CUT_US)
    back_us = CUT_US + 4 * MINUTE_US
    made.learn([seen(outage(3, NOW_US + 9, back_us), 3, site=name) for name in TEN[2:]], back_us)
    goes_on(made, [*OTHERS, *TEN[2:]], back_us)
    (event,) = made.events.events
    assert event.away == set(TEN[:2])
    assert 'qos_upstream_event_sites{level="pop",pop="Clermont-2"} 2\n' in text(made)
    assert "\nqos_site_upstream_event" not in text(made)


def test_names_of_peers_that_nobody_measures_against_any_more_are_forgotten() -> None:
    made = fleet()
    for number in range(3):
        record = stamp(number, NOW_US + number + 1, peer=f"peer-{number}")
        made.learn([seen(record, number + 9, site="C0")], NOW_US + number + 1)
    assert set(made.events.census().peers) == {"pop-1", "peer-2"}
