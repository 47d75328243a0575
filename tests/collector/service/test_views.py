import pytest

from collector.live.site_state import SiteState
from collector.model.inventory import Site
from collector.service.views import Views
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, SITE, floor, seen, stamp
from wire.messages.envelope import PresenceState


def views(*site_ids: str) -> Views:
    made = Views({site_id: Site(site_id, site_id) for site_id in site_ids})
    made.render(site_ids, NOW_US)
    return made


def states(made: Views) -> dict[str, SiteState]:
    return {line.site.site_id: line.state for line in made.summaries}


def text(made: Views) -> str:
    return b"".join(made.pieces()).decode()


def test_a_committed_measurement_shows_at_once_on_page_and_metrics() -> None:
    made = views(SITE, "other")
    assert states(made) == {SITE: SiteState.WAITING, "other": SiteState.WAITING}
    made.learn([seen(floor(1))], NOW_US)
    assert states(made) == {SITE: SiteState.OK, "other": SiteState.WAITING}
    assert f'qos_floor_pass{{site_id="{SITE}"' in text(made)


def test_time_alone_removes_gauges_and_makes_a_site_silent() -> None:
    made = views(SITE)
    made.learn([seen(floor(1)), seen(stamp(2), 2)], NOW_US)
    assert not made.expire(NOW_US + 3 * MINUTE_US - 1, 10)
    assert "qos_rtt_seconds" in text(made)
    assert not made.expire(NOW_US + 3 * MINUTE_US, 10)
    assert "qos_rtt_seconds" not in text(made)
    assert states(made) == {SITE: SiteState.OK}
    assert not made.expire(NOW_US + 5 * MINUTE_US, 10)
    assert states(made) == {SITE: SiteState.SILENT}
    assert 'state="silent"} 1' in text(made)


def test_a_gauge_with_new_values_does_not_expire() -> None:
    made = views(SITE)
    for minute in range(6):
        now_us = NOW_US + minute * MINUTE_US
        made.learn([seen(stamp(minute + 1, now_us), minute + 1)], now_us)
        assert not made.expire(now_us, 10)
        assert "qos_rtt_seconds" in text(made)
    made.expire(NOW_US + 8 * MINUTE_US, 10)
    assert "qos_rtt_seconds" not in text(made)


def test_many_expired_sites_are_rendered_in_portions() -> None:
    names = [f"S{number}" for number in range(25)]
    made = views(*names)
    made.learn([seen(stamp(1), number, site=name) for number, name in enumerate(names)], NOW_US)
    late_us = NOW_US + HOUR_US
    assert [made.expire(late_us, 10) for _ in range(4)] == [True, True, False, False]
    assert set(states(made).values()) == {SiteState.SILENT}


def test_a_new_inventory_shows_after_rendering() -> None:
    made = views(SITE, "leaves")
    made.learn([seen(floor(1))], NOW_US)
    made.render(made.take_inventory({"comes": Site("comes", "New")}), NOW_US)
    assert states(made) == {SITE: SiteState.NOT_IN_INVENTORY, "comes": SiteState.WAITING}
    assert 'site_id="leaves"' not in text(made)


def test_a_burst_of_presence_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rendered = views(SITE, "other"), []
    monkeypatch.setattr(made, "_render", lambda site_id, _now_us: rendered.append(site_id))
    for state in [PresenceState.ONLINE, PresenceState.STOPPED] * 1000:
        made.set_presence(SITE, state)
    made.set_presence("other", PresenceState.ONLINE)
    assert rendered == []
    assert made.show_presence(NOW_US, 1)
    assert not made.show_presence(NOW_US, 1)
    made.set_presence(SITE, PresenceState.STOPPED)
    assert not made.show_presence(NOW_US, 1)
    assert rendered == [SITE, "other"]


def test_presence_shows_for_known_sites() -> None:
    made = views(SITE)
    made.set_presence(SITE, PresenceState.CONNECTION_LOST)
    made.set_presence("stranger", PresenceState.ONLINE)
    made.show_presence(NOW_US, 10)
    assert [line.presence for line in made.summaries] == [PresenceState.CONNECTION_LOST]
    assert text(made).count("\nqos_agent_online{") == 1
