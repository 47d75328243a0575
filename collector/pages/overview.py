"""Overview: a line of each site, worst first, filtered, sorted, counted and cut into pages. Pure.

Texts and looks are in ``overview_page``.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from collector.incidents.site_outages import open_outage
from collector.kinds import BY_PROBE
from collector.kinds.views import is_fresh
from collector.live.notices import notices
from collector.live.site_state import LiveSite, SiteState, current, state_of
from collector.model.inventory import Site
from collector.model.notice import Notice
from collector.model.outages import KEPT_US, Outage
from wire.messages.envelope import PresenceState
from wire.records import CapacityValues, Direction, Failure, FloorValues, Outcome, StampValues, Verdict

PAGE_ROWS = 100
MAX_SEARCH = 100
# Reasons of the schedule, not of the line: every agent leaves out a test now and then.
_ROUTINE = frozenset({Failure.LINE_BUSY, Failure.MISSED_SLOT, Failure.SITE_IN_USE, Failure.CANCELLED})
# Letters that Unicode does not decompose, and the apostrophe that word processors write.
_LETTERS = str.maketrans({"œ": "oe", "æ": "ae", "\N{RIGHT SINGLE QUOTATION MARK}": "'"})
_SEVERITY = {state: place for place, state in enumerate(SiteState)}


class Waiting(StrEnum):
    """Missing condition of a waiting site."""

    MEASUREMENT = "measurement"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class FloorFigure:
    """Last floor result of one direction: bit/s at the IP layer, and the floor of its verdict.

    ``time_us`` is the time of measurement. ``exact`` is false if the line carries at least ``bps``.
    """

    bps: float
    exact: bool
    floor_bps: float
    verdict: Verdict
    time_us: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class SearchFigure:
    """Last search of one direction: the maximum in bit/s, ``exact`` if the line itself was the bound."""

    bps: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Failure of a probe's newest attempt. ``probe`` is "" for a probe that only newer agents have."""

    probe: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """One line of the overview. Times are Unix microseconds.

    ``rtt_us`` is the median of the worst class. ``loaded_us`` is the 95th percentile during a floor test, of
    the worse direction. ``shortfall`` is the missing share of the floor, of the worse direction. ``words`` is
    the text that a search reads. ``outage`` is the open one or, if ``outage_lasts`` is false, the newest of
    the last day.
    """

    site: Site
    state: SiteState
    waiting: Waiting | None
    down: FloorFigure | None
    up: FloorFigure | None
    search_down: SearchFigure | None
    search_up: SearchFigure | None
    rtt_us: int | None
    loaded_us: int | None
    loss_ratio: float | None
    notices: tuple[Notice, ...]
    newest_us: int | None
    troubles: tuple[Trouble, ...]
    outage: Outage | None
    outage_lasts: bool
    presence: PresenceState | None
    shortfall: float
    words: str


def summarise(site: LiveSite, now_us: int) -> SiteSummary:
    """Make the overview's line of a site."""
    found, state = site.inventory or Site(site.site_id, ""), state_of(site, now_us)
    figures = [_figure(site, direction, now_us) for direction in (Direction.DOWN, Direction.UP)]
    lasting = open_outage(site)
    rtt_us, loss_ratio = _trains(site, now_us)
    return SiteSummary(
        site=found,
        state=state,
        waiting=_waiting(site) if state is SiteState.WAITING else None,
        down=figures[0],
        up=figures[1],
        search_down=_search(site, Direction.DOWN, now_us),
        search_up=_search(site, Direction.UP, now_us),
        rtt_us=rtt_us,
        loaded_us=_loaded(site, now_us),
        loss_ratio=loss_ratio,
        notices=notices(site, now_us),
        newest_us=site.newest_us,
        troubles=tuple(dict.fromkeys(_troubles(site, now_us))),
        outage=lasting or _newest_outage(site, now_us),
        outage_lasts=lasting is not None,
        presence=site.presence,
        shortfall=max(0.0, *(_shortfall(figure) for figure in figures)),
        # Folded once here, and not at every search of every reader.
        words=searched(found),
    )


def _newest_outage(site: LiveSite, now_us: int) -> Outage | None:
    """Newest outage with a reported end; those without one are on the page of outages."""
    over = [each for each in site.outages.known.values() if each.end_us and now_us - each.end_us < KEPT_US]
    return max(over, key=lambda outage: (outage.begin_us, outage.name), default=None)


def _shortfall(figure: FloorFigure | None) -> float:
    return 1 - figure.bps / figure.floor_bps if figure and figure.floor_bps > 0 else 0.0


def _waiting(site: LiveSite) -> Waiting:
    return Waiting.VERDICT if site.series else Waiting.MEASUREMENT


def _figure(site: LiveSite, direction: Direction, now_us: int) -> FloorFigure | None:
    series = site.floor_series(direction)
    seen = series.valued if series else None
    if seen is None or not isinstance(seen.values, FloorValues):
        return None
    values = seen.values
    bps, exact = values.reported_capacity()
    return FloorFigure(bps, exact, values.floor_bps, values.verdict, seen.time_us, is_fresh(seen, now_us))


def _search(site: LiveSite, direction: Direction, now_us: int) -> SearchFigure | None:
    for seen, values in current(site, CapacityValues, now_us):
        if seen.series.direction is direction:
            return SearchFigure(values.maximum_bps, values.bound is None)
    return None


def _loaded(site: LiveSite, now_us: int) -> int | None:
    # Floor tests are of today. A search may be of last month and says less about the line as it is now.
    found = [values.under_load for _, values in current(site, FloorValues, now_us)]
    return max((load.loaded.p95_us for load in found if load and load.loaded), default=None)


def _trains(site: LiveSite, now_us: int) -> tuple[int | None, float | None]:
    """Median round-trip time and loss ratio, each of its worst class."""
    values = [found for _, found in current(site, StampValues, now_us)]
    rtt_us = max((found.rtt.p50_us for found in values if found.rtt), default=None)
    return rtt_us, max((found.loss_ratio for found in values), default=None)


def _troubles(site: LiveSite, now_us: int) -> Iterator[Trouble]:
    """Failures by series: the trains of every minute must not hide that of an hourly floor test."""
    for series, found in site.series.items():
        failure = found.newest.failure
        if found.newest.outcome is Outcome.OK or failure is None or failure is Failure.BUDGET_SPENT:
            continue  # a spent budget has a notice of its own
        # Every agent leaves out a test now and then. It matters only where no fresh values are left.
        if failure not in _ROUTINE or not is_fresh(found.valued, now_us):
            yield Trouble(series.probe if series.probe in BY_PROBE else "", failure)


def fold(text: str) -> str:
    """Fold case and accents away: "lycee" finds "Lycée", and "coeur" finds "Cœur"."""
    decomposed = unicodedata.normalize("NFKD", text)
    plain = "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()
    return plain.translate(_LETTERS)


def searched(site: Site) -> str:
    """Text of a site in which every page's search looks, folded."""
    texts = (site.site_id, site.name, site.category, site.departement, site.commune, site.supplier, site.pop)
    return fold(" ".join(texts))


def matching(sites: Iterable[SiteSummary], text: str) -> list[SiteSummary]:
    """Sites in which each word of ``text`` is found; all of them without a word."""
    words = fold(text).split()
    return [site for site in sites if all(word in site.words for word in words)]


def page_asked(query: Mapping[str, str]) -> int:
    """Number of the page asked for, from 1; 1 if the query makes no sense."""
    page = query.get("page", "")
    return int(page) if page.isascii() and page.isdecimal() and len(page) < 7 and int(page) else 1


@dataclass(frozen=True, slots=True)
class OverviewFilter:
    """Filter that a reader asked for; ``page`` counts from 1."""

    state: SiteState | None = None
    departement: str = ""
    text: str = ""
    page: int = 1

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "OverviewFilter":
        """Read a query string, without what makes no sense in it."""
        state = query.get("state", "")
        return cls(
            state=SiteState(state) if state in set(SiteState) else None,
            departement=query.get("departement", "")[:MAX_SEARCH],
            text=query.get("q", "")[:MAX_SEARCH].strip(),
            page=page_asked(query),
        )


@dataclass(frozen=True, slots=True)
class Overview:
    """One page of the overview; ``counts`` are of all sites that match departement and text."""

    rows: list[SiteSummary]
    counts: Mapping[SiteState, int]
    total: int
    matching: int
    page: int
    pages: int
    departements: list[str]


def overview(sites: Iterable[SiteSummary], wanted: OverviewFilter) -> Overview:
    """Filter, sort and cut out one page."""
    everything = list(sites)
    within = [
        site
        for site in matching(everything, wanted.text)
        if wanted.departement in ("", site.site.departement)
    ]
    shown = [site for site in within if wanted.state in (None, site.state)]
    shown.sort(key=_worst_first)
    pages = max(1, -(-len(shown) // PAGE_ROWS))
    page = min(wanted.page, pages)
    return Overview(
        rows=shown[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        counts=Counter(site.state for site in within),
        total=len(everything),
        matching=len(shown),
        page=page,
        pages=pages,
        departements=sorted({site.site.departement for site in everything} - {""}),
    )


def _worst_first(site: SiteSummary) -> tuple[int, float, str]:
    return _SEVERITY[site.state], -site.shortfall, site.site.site_id
