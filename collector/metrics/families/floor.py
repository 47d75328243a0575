"""Metric families of a site's state, and of its standing against its floor."""

from collections.abc import Iterator

from collector.kinds.kind import Samples
from collector.kinds.views import is_fresh
from collector.live.site_state import LiveSite, SeriesState, SiteState, state_of
from collector.metrics.families.family import UNKNOWN, Family, escape
from wire.messages.envelope import PresenceState
from wire.records import Direction, FloorValues, Standing, Verdict


def _info(site: LiveSite, _now_us: int) -> Samples:
    found = site.inventory
    name, commune = (found.name, found.commune) if found else (UNKNOWN, UNKNOWN)
    lat, lon = (found.lat, found.lon) if found else (None, None)
    place = f',lat="{_degrees(lat)}",lon="{_degrees(lon)}"'
    yield f',name="{escape(name)}",commune="{escape(commune)}"{place}', 1


def _degrees(value: float | None) -> str:
    return "" if value is None else repr(value)


def _state(site: LiveSite, now_us: int) -> Samples:
    found = state_of(site, now_us)
    return ((f',state="{state}"', int(state is found)) for state in SiteState)


def _online(site: LiveSite, _now_us: int) -> Samples:
    if site.presence is not None:
        yield "", int(site.presence is PresenceState.ONLINE)


def _floor(site: LiveSite, _now_us: int) -> Samples:
    for direction in Direction:
        floor = site.floor(direction)
        if floor is not None:
            yield f',direction="{direction}"', floor


def _floors(site: LiveSite) -> Iterator[tuple[Direction, SeriesState]]:
    for direction in Direction:
        if found := site.floor_series(direction):
            yield direction, found


def _pass(site: LiveSite, now_us: int) -> Samples:
    for direction, found in _floors(site):
        seen = found.decisive
        if seen is not None and is_fresh(seen, now_us) and isinstance(seen.values, FloorValues):
            yield f',direction="{direction}"', int(seen.values.verdict is Verdict.PASS)


def _standing(site: LiveSite, now_us: int) -> Samples:
    """Standing as the agent reported it: one verdict of an older agent must not raise its alert."""
    for direction, found in _floors(site):
        seen = found.deciding
        values = seen.values if seen is not None and is_fresh(seen, now_us) else None
        if isinstance(values, FloorValues) and values.standing is not None:
            for standing in Standing:
                yield f',direction="{direction}",standing="{standing}"', int(standing is values.standing)


def _capacity(site: LiveSite, now_us: int) -> Samples:
    for direction, found in _floors(site):
        seen = found.valued
        if seen is not None and is_fresh(seen, now_us) and isinstance(seen.values, FloorValues):
            value, exact = seen.values.reported_capacity()
            yield f',direction="{direction}",bound="{"exact" if exact else "at_least"}"', value


FAMILIES: tuple[Family, ...] = (
    Family("qos_site_info", "gauge", "What is known of the site; always 1.", _info),
    Family("qos_site_state", "gauge", "1 for the state that the site is in, 0 for every other.", _state),
    Family(
        "qos_agent_online", "gauge", "Whether the agent is connected to the broker; not the line.", _online
    ),
    Family("qos_floor_bits_per_second", "gauge", "Contractual minimum capacity, IP layer.", _floor),
    Family("qos_floor_pass", "gauge", "Latest decisive floor verdict: 1 pass, 0 fail.", _pass),
    Family(
        "qos_floor_standing",
        "gauge",
        "1 for what the sequence of floor verdicts amounts to, 0 for the others.",
        _standing,
    ),
    Family(
        "qos_capacity_bits_per_second",
        "gauge",
        "IP-layer capacity as last measured; at_least: it may be more.",
        _capacity,
    ),
)
