"""Figures of the demo's sites, read from the collector's metrics page."""

import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

FETCH_TIMEOUT_S = 2.0
MOST_PAGE_BYTES = 4_000_000
DIRECTIONS = ("down", "up")


@dataclass(frozen=True, slots=True)
class Capacity:
    """Capacity in IP-layer bit/s: measured, or only a lower bound."""

    bits_per_second: float
    exact: bool


@dataclass(slots=True)
class SiteFigures:
    """Figures of one site, by direction or DSCP.

    ``rtt_min_s``: least round trip of all trains. ``sent`` and ``lost``: packets of the trains whose loss is
    known by direction. ``bytes_spent``: IP-layer bytes of all measurements. ``newest_s``: Unix time of the
    newest measurement. ``outcomes``: attempts by (probe, outcome). ``peer_comparisons``: load tests by
    result of the comparison.
    """

    state: str = ""
    passed: dict[str, bool] = field(default_factory=dict)
    capacity: dict[str, Capacity] = field(default_factory=dict)
    rtt_min_s: dict[int, float] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    bytes_spent: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    peer_comparisons: Counter[str] = field(default_factory=Counter)
    newest_s: float | None = None


class Figures:
    """Figures of all sites from successive pages. Each train is counted once: read the page often."""

    def __init__(self, packets_in_train: int) -> None:
        self.sites: dict[str, SiteFigures] = {}
        self._packets = packets_in_train
        self._counted: set[tuple[str, int, float]] = set()

    def take(self, page: str) -> None:
        """Read a metrics page. Raises ValueError for any other text."""
        samples = _by_site(page)
        for site_id, found in samples.items():
            figures = self.sites.setdefault(site_id, SiteFigures())
            _take_present(figures, found)
            self._take_trains(site_id, figures, found)

    def measurements(self) -> int:
        """Return the number of measurements that all sites have attempted."""
        return sum(figures.outcomes.total() for figures in self.sites.values())

    def _take_trains(self, site_id: str, figures: SiteFigures, found: list[Sample]) -> None:
        for dscp, began in _train_times(found):
            train = (site_id, dscp, began)
            mine = [sample for sample in found if sample.labels.get("dscp") == str(dscp)]
            if train in self._counted or not mine:
                continue
            rtt = _value(mine, "qos_rtt_seconds", stat="min")
            if rtt is None and _value(mine, "qos_round_trip_loss_ratio") is None:
                continue
            self._counted.add(train)
            if rtt is not None:
                figures.rtt_min_s[dscp] = min(rtt, figures.rtt_min_s.get(dscp, rtt))
            self._count_loss(figures, mine)

    def _count_loss(self, figures: SiteFigures, train: list[Sample]) -> None:
        up = _value(train, "qos_loss_ratio", direction="up")
        down = _value(train, "qos_loss_ratio", direction="down")
        if up is None or down is None:
            return
        lost_up = round(up * self._packets)
        reflected = self._packets - lost_up
        figures.sent.update(up=self._packets, down=reflected)
        figures.lost.update(up=lost_up, down=round(down * reflected))


def fetch(url: str) -> str | None:
    """Return the metrics page at ``url``, None when it cannot be fetched now."""
    try:
        with urllib.request.urlopen(url, timeout=FETCH_TIMEOUT_S) as answer:  # noqa: S310 -- the demo's own http
            return str(answer.read(MOST_PAGE_BYTES).decode())
    except (OSError, urllib.error.HTTPError, UnicodeDecodeError):
        return None


def _by_site(page: str) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if site_id := sample.labels.get("site_id"):
                found.setdefault(site_id, []).append(sample)
    return found


def _take_present(figures: SiteFigures, found: list[Sample]) -> None:
    """Replace the figures that each page has completely."""
    figures.state = next((one.labels["state"] for one in _named(found, "qos_site_state") if one.value), "")
    figures.passed = {one.labels["direction"]: one.value == 1 for one in _named(found, "qos_floor_pass")}
    figures.capacity = {
        one.labels["direction"]: Capacity(one.value, one.labels["bound"] == "exact")
        for one in _named(found, "qos_capacity_bits_per_second")
    }
    times = [one.value for one in _named(found, "qos_measurement_timestamp_seconds")]
    figures.newest_s = max(times, default=None)
    figures.bytes_spent.clear()
    for one in _named(found, "qos_probe_bytes_total"):
        figures.bytes_spent[one.labels["direction"]] += int(one.value)
    figures.outcomes.clear()
    for one in _named(found, "qos_measurements_total"):
        figures.outcomes[(one.labels["probe"], one.labels["outcome"])] += int(one.value)
    figures.peer_comparisons.clear()
    for one in _named(found, "qos_peer_comparisons_total"):
        figures.peer_comparisons[one.labels["result"]] += int(one.value)


def _train_times(found: list[Sample]) -> Iterator[tuple[int, float]]:
    for one in _named(found, "qos_measurement_timestamp_seconds"):
        if one.labels["probe"] == "stamp":
            yield int(one.labels["dscp"]), one.value


def _named(found: list[Sample], name: str) -> list[Sample]:
    return [sample for sample in found if sample.name == name]


def _value(found: list[Sample], name: str, **labels: str) -> float | None:
    for sample in _named(found, name):
        if labels.items() <= sample.labels.items():
            return float(sample.value)
    return None
