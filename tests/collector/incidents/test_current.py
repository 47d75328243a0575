"""Incidents of the present: from live sites to metrics and to the incident of each site."""

from collector.incidents.correlation import Incident, Level, correlate
from collector.incidents.current import SHOWN_US
from collector.live.site_state import SiteState
from collector.model.inventory import Site
from collector.service.views import Views
from tests.collector.examples import MINUTE_US, NOW_US, failed, outage, seen, stamp
from wire.records import Cause

CUT_US = NOW_US + 5 * MINUTE_US
TEN = [f"C{number}" for number in range(10)]
OTHERS = [f"R{number}" for number in range(20)]


def fleet() -> Views:
    """Ten sites of one POP and twenty of others, all just measured."""
    inventory = {name: Site(name, name, "lycée", "63", pop="Clermont-2") for name in TEN}
    inventory |= {name: Site(name, name, departement="03", pop=f"pop-{name}") for name in OTHERS}
    made = Views(inventory)
    made.render(inventory, NOW_US)
    made.learn([seen(stamp(1), site=name) for name in inventory], NOW_US)
    return made


def measure_until(made: Views, names: list[str], until_us: int) -> None:
    """Let these sites measure until then, and the others be silent."""
    made.learn([seen(stamp(2, until_us), 2, site=name) for name in names], until_us)
    made.expire(until_us, 1000)
    if (taken := made.incidents.snapshot()) is not None:
        made.incidents.show(made.incidents.render(correlate(*taken)))


def correlated(made: Views) -> list[Incident]:
    taken = made.incidents.snapshot()
    assert taken is not None
    return correlate(*taken)


def text(made: Views) -> str:
    return b"".join(made.incidents.pieces()).decode()


def test_a_pop_that_is_cut_is_one_incident_on_the_metrics_page() -> None:
    made = fleet()
    measure_until(made, OTHERS, CUT_US)
    (incident,) = made.incidents.incidents
    assert (incident.level, incident.place, incident.cause) == (Level.POP, "Clermont-2", Cause.UNKNOWN)
    assert [made.incidents.incident_of(name) for name in ("C3", "R3")] == [incident, None]
    lines = text(made).splitlines()
    assert 'qos_incident_sites{level="pop",pop="Clermont-2"} 10' in lines
    begin = 'qos_incident_begin_timestamp_seconds{level="pop",pop="Clermont-2",cause="unknown"}'
    assert f"{begin} {NOW_US / 1e6!r}" in lines
    labels = 'site_id="C3",category="lycée",departement="63",pop="Clermont-2",supplier="unknown"'
    assert f'qos_site_incident{{{labels},level="pop"}} 1' in lines
    assert sum(line.startswith("qos_site_incident{") for line in lines) == 10


def test_returning_sites_report_the_cause_and_the_last_one_ends_the_incident() -> None:
    made = fleet()
    measure_until(made, OTHERS, CUT_US)
    back_us = CUT_US + 4 * MINUTE_US
    reports = [seen(outage(3, NOW_US + 9, back_us), 3, site=name) for name in TEN]
    made.learn(reports[:4], back_us)
    measure_until(made, [*OTHERS, *TEN[:4]], back_us)
    (incident,) = made.incidents.incidents
    assert (incident.cause, len(incident.sites), len(incident.open_sites)) == (Cause.ACCESS, 10, 6)
    assert 'qos_incident_sites{level="pop",pop="Clermont-2"} 6' in text(made)
    made.learn(reports[4:], back_us)
    measure_until(made, [*OTHERS, *TEN], back_us + 1)
    (incident,) = made.incidents.incidents
    assert (incident.begin_us, incident.end_us, text(made)) == (NOW_US + 9, back_us, "")
    assert made.incidents.recent(back_us + SHOWN_US - 1) == [incident]
    assert made.incidents.recent(back_us + SHOWN_US) == []


def test_a_silent_fleet_has_no_metrics_of_single_sites() -> None:
    made = fleet()
    measure_until(made, OTHERS[:2], CUT_US)
    (incident,) = made.incidents.incidents
    assert (incident.level, incident.cause, len(incident.open_sites)) == (Level.FLEET, Cause.BROKER, 28)
    assert "\nqos_site_incident" not in text(made)
    assert 'qos_incident_sites{level="fleet"} 28\n' in text(made)


def test_a_dead_peer_is_an_incident_and_no_site_is_silent() -> None:
    made = fleet()
    made.learn([seen(failed(2, CUT_US), 2, site=name) for name in (*TEN, *OTHERS)], CUT_US)
    (incident,) = correlated(made)
    assert (incident.level, incident.place, incident.cause) == (Level.PEER, "pop-1", Cause.PEER)
    assert len(incident.open_sites) == 30
    assert SiteState.SILENT not in {line.state for line in made.summaries}


def test_a_peer_that_answers_one_site_in_ten_is_up() -> None:
    made = fleet()
    made.learn([seen(failed(2, CUT_US), 2, site=name) for name in (*TEN, *OTHERS[:16])], CUT_US)
    made.learn([seen(stamp(2, CUT_US), 2, site=name) for name in OTHERS[16:]], CUT_US)
    assert correlated(made) == []


def test_two_incidents_of_one_place_are_one_sample() -> None:
    made = fleet()
    measure_until(made, OTHERS, CUT_US)
    (incident,) = made.incidents.incidents
    half = len(incident.outages) // 2
    first, second = (
        Incident(incident.level, incident.place, incident.cause, part)
        for part in (incident.outages[:half], incident.outages[half:])
    )
    made.incidents.show(made.incidents.render([first, second]))
    assert 'qos_incident_sites{level="pop",pop="Clermont-2"} 10\n' in text(made)


def test_sites_removed_from_the_inventory_leave_their_incident() -> None:
    made = fleet()
    measure_until(made, OTHERS, CUT_US)
    left = {name: Site(name, name, pop="Clermont-2") for name in TEN[:6]}
    left |= {name: Site(name, name, pop=f"pop-{name}") for name in OTHERS}
    made.render(made.take_inventory(left), CUT_US)
    taken = made.incidents.snapshot()
    assert taken is not None
    (incident,) = correlate(*taken)
    assert (len(incident.sites), taken[1].sites, taken[1].pops["Clermont-2"]) == (6, 26, 6)


def test_no_snapshot_without_a_change() -> None:
    made = fleet()
    assert made.incidents.snapshot() is not None
    made.learn([seen(stamp(2, NOW_US + 1), 2, site=name) for name in TEN], NOW_US + 1)
    assert made.incidents.snapshot() is None


def test_the_last_two_sites_of_an_incident_have_no_membership_metric() -> None:
    made = fleet()
    measure_until(made, OTHERS, CUT_US)
    back_us = CUT_US + 4 * MINUTE_US
    made.learn([seen(outage(3, NOW_US + 9, back_us), 3, site=name) for name in TEN[2:]], back_us)
    measure_until(made, [*OTHERS, *TEN[2:]], back_us)
    (incident,) = made.incidents.incidents
    assert incident.open_sites == set(TEN[:2])
    assert 'qos_incident_sites{level="pop",pop="Clermont-2"} 2\n' in text(made)
    assert "\nqos_site_incident" not in text(made)


def test_peers_without_sites_are_forgotten() -> None:
    made = fleet()
    for number in range(3):
        record = stamp(number, NOW_US + number + 1, peer=f"peer-{number}")
        made.learn([seen(record, number + 9, site="C0")], NOW_US + number + 1)
    assert set(made.incidents.counts().peers) == {"pop-1", "peer-2"}
