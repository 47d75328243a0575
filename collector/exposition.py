"""The fleet as Prometheus text: each site's lines rendered when it changes, a scrape only joins them.

Every family carries the labels ``site_id``, ``category``, ``departement``, ``pop`` and ``supplier``; what may
change without being another site sits on ``qos_site_info``. A gauge that no longer speaks for the present is
absent, never repeated; timestamps stay. No line carries an explicit timestamp: one too old fails the scrape.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from collector.inventory import Site
from collector.live import SeriesState, SiteState, State, is_fresh, state_of
from collector.observation import Observation
from wire.messages import PresenceState
from wire.records import Direction, FloorValues, Spread, StampValues, Verdict

UNKNOWN = "unknown"

Sample = tuple[str, float | int]  # further labels, rendered; value
Samples = Iterator[Sample]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family and where its samples of a site come from."""

    name: str
    kind: str
    help: str
    samples: Callable[[SiteState, int], Samples]


def escape(text: str) -> str:
    """A label value as the text format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def site_labels(site: SiteState) -> str:
    """The labels on every series of a site, without braces."""
    found = site.inventory or Site(site.site_id, UNKNOWN)
    labels = {
        "site_id": site.site_id,
        "category": found.category or UNKNOWN,
        "departement": found.departement or UNKNOWN,
        "pop": found.pop or UNKNOWN,
        "supplier": found.supplier or UNKNOWN,
    }
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())


def render(site: SiteState, now_us: int) -> list[bytes]:
    """The site's lines, one text for each of ``FAMILIES`` (empty where it has no sample)."""
    common = site_labels(site)
    return [
        "".join(
            f"{family.name}{{{common}{more}}} {value!r}\n" for more, value in family.samples(site, now_us)
        ).encode()
        for family in FAMILIES
    ]


class Exposition:
    """The rendered lines of all sites, by family, ready to be joined."""

    def __init__(self) -> None:
        self._columns: list[list[bytes]] = [[] for _ in FAMILIES]
        self._index: dict[str, int] = {}

    def update(self, site: SiteState, now_us: int) -> None:
        """Render one site anew."""
        index = self._index.get(site.site_id)
        if index is None:
            index = self._index[site.site_id] = len(self._index)
            for column in self._columns:
                column.append(b"")
        for column, lines in zip(self._columns, render(site, now_us), strict=True):
            column[index] = lines

    def keep_only(self, site_ids: Iterable[str]) -> None:
        """Expose no site but these."""
        for site_id in self._index.keys() - set(site_ids):
            for column in self._columns:
                column[self._index[site_id]] = b""

    def families(self) -> Iterator[bytes]:
        """The page, family by family; HELP and TYPE stand once, before the first sample."""
        for family, column in zip(FAMILIES, self._columns, strict=True):
            if any(column):
                head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
                yield b"".join((head.encode(), *column))


def _info(site: SiteState, _now_us: int) -> Samples:
    found = site.inventory
    name, commune = (found.name, found.commune) if found else (UNKNOWN, UNKNOWN)
    lat, lon = (found.lat, found.lon) if found else (None, None)
    place = f',lat="{_degrees(lat)}",lon="{_degrees(lon)}"'
    yield f',name="{escape(name)}",commune="{escape(commune)}"{place}', 1


def _degrees(value: float | None) -> str:
    return "" if value is None else repr(value)


def _state(site: SiteState, now_us: int) -> Samples:
    found = state_of(site, now_us)
    return ((f',state="{state}"', int(state is found)) for state in State)


def _online(site: SiteState, _now_us: int) -> Samples:
    if site.presence is not None:
        yield "", int(site.presence is PresenceState.ONLINE)


def _floor(site: SiteState, _now_us: int) -> Samples:
    for direction in Direction:
        floor = site.floor(direction)
        if floor is not None:
            yield f',direction="{direction}"', floor


def _floors(site: SiteState) -> Iterator[tuple[Direction, SeriesState]]:
    for direction in Direction:
        if found := site.of_floor(direction):
            yield direction, found


def _pass(site: SiteState, now_us: int) -> Samples:
    for direction, found in _floors(site):
        seen = found.decisive
        if seen is not None and is_fresh(seen, now_us) and isinstance(seen.values, FloorValues):
            yield f',direction="{direction}"', int(seen.values.verdict is Verdict.PASS)


def _capacity(site: SiteState, now_us: int) -> Samples:
    for direction, found in _floors(site):
        seen = found.valued
        if seen is not None and is_fresh(seen, now_us) and isinstance(seen.values, FloorValues):
            value, exact = seen.values.told_capacity()
            yield f',direction="{direction}",bound="{"exact" if exact else "at_least"}"', value


def _trains(site: SiteState, now_us: int) -> Iterator[tuple[str, StampValues]]:
    for found in site.series.values():
        seen = found.valued
        if seen is not None and is_fresh(seen, now_us) and isinstance(seen.values, StampValues):
            yield _dscp(seen), seen.values


def _dscp(seen: Observation) -> str:
    return f',dscp="{"" if seen.series.dscp is None else seen.series.dscp}"'


def _stats(labels: str, spread: Spread | None) -> Samples:
    if spread is not None:
        yield f'{labels},stat="min"', spread.min_us / 1e6
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6
        yield f'{labels},stat="p99"', spread.p99_us / 1e6


def _rtt(site: SiteState, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        yield from _stats(dscp, values.rtt)


def _variation(site: SiteState, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        yield from _stats(f'{dscp},direction="up"', values.variation_forward)
        yield from _stats(f'{dscp},direction="down"', values.variation_return)


def _delay(site: SiteState, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        yield from _stats(f'{dscp},direction="up"', values.delay_forward)
        yield from _stats(f'{dscp},direction="down"', values.delay_return)


def _loss(site: SiteState, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        if values.loss_forward_ratio is not None:
            yield f'{dscp},direction="up"', values.loss_forward_ratio
        if values.loss_return_ratio is not None:
            yield f'{dscp},direction="down"', values.loss_return_ratio


def _round_trip_loss(site: SiteState, now_us: int) -> Samples:
    return ((dscp, values.loss_ratio) for dscp, values in _trains(site, now_us))


def _timestamp(site: SiteState, _now_us: int) -> Samples:
    for series, found in site.series.items():
        direction = f',direction="{series.direction or ""}"'
        yield f',probe="{series.probe}"{direction}{_dscp(found.newest)}', found.newest.time_us / 1e6


def _measurements(site: SiteState, _now_us: int) -> Samples:
    for (probe, outcome, failure), count in sorted(site.measurements.items(), key=_by_words):
        yield f',probe="{probe}",outcome="{outcome}",failure="{failure or ""}"', count


def _by_words(item: tuple[tuple[str | None, ...], int]) -> list[str]:
    return [word or "" for word in item[0]]


def _late(site: SiteState, _now_us: int) -> Samples:
    return ((f',probe="{probe}"', count) for probe, count in sorted(site.late.items()))


def _verdicts(site: SiteState, _now_us: int) -> Samples:
    for (direction, verdict), count in sorted(site.verdicts.items()):
        yield f',direction="{direction}",verdict="{verdict}"', count


def _bytes(site: SiteState, _now_us: int) -> Samples:
    for (probe, direction), count in sorted(site.bytes_spent.items()):
        yield f',probe="{probe}",direction="{direction}"', count


FAMILIES: tuple[Family, ...] = (
    Family("qos_site_info", "gauge", "What is known of the site; always 1.", _info),
    Family("qos_site_state", "gauge", "1 for the state that the site is in, 0 for every other.", _state),
    Family(
        "qos_agent_online", "gauge", "Whether the agent is connected to the broker; not the line.", _online
    ),
    Family("qos_floor_bits_per_second", "gauge", "Contractual minimum capacity, IP layer.", _floor),
    Family("qos_floor_pass", "gauge", "Latest decisive floor verdict: 1 pass, 0 fail.", _pass),
    Family(
        "qos_capacity_bits_per_second",
        "gauge",
        "IP-layer capacity as last measured; at_least: it may be more.",
        _capacity,
    ),
    Family("qos_rtt_seconds", "gauge", "Round-trip time of the last STAMP train.", _rtt),
    Family(
        "qos_delay_variation_seconds",
        "gauge",
        "Packet delay variation (RFC 5481) of the last STAMP train.",
        _variation,
    ),
    Family(
        "qos_one_way_delay_seconds", "gauge", "One-way delay, where both clocks are synchronised.", _delay
    ),
    Family("qos_loss_ratio", "gauge", "Packet loss (RFC 7680) of the last STAMP train, by direction.", _loss),
    Family(
        "qos_round_trip_loss_ratio",
        "gauge",
        "Packet loss of the last STAMP train, both ways.",
        _round_trip_loss,
    ),
    Family(
        "qos_measurement_timestamp_seconds",
        "gauge",
        "When the newest measurement of a series was made, whatever its outcome.",
        _timestamp,
    ),
    Family("qos_measurements_total", "counter", "Measurements that came in time.", _measurements),
    Family("qos_late_measurements_total", "counter", "Measurements that were old when they came.", _late),
    Family("qos_floor_verdicts_total", "counter", "Floor verdicts that came in time.", _verdicts),
    Family("qos_probe_bytes_total", "counter", "What measuring cost the line, IP layer.", _bytes),
)
