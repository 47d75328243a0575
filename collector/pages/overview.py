"""What the overview says of each site, worst first: filtered, sorted, counted, cut into pages.

Pure; words and looks are the page's.
"""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from collector.incidents.absences import open_outage
from collector.live.notices import Notice, remarks
from collector.live.site_state import LiveSite, SiteState, current, state_of
from collector.model.freshness import is_fresh
from collector.model.inventory import Site
from collector.model.outages import KEPT_US, Outage
from wire.messages.envelope import PresenceState
from wire.records import KNOWN, CapacityValues, Direction, Failure, FloorValues, Outcome, StampValues, Verdict

PAGE_ROWS = 100
MAX_SEARCH = 100
_ROUTINE = frozenset({Failure.LINE_BUSY, Failure.MISSED_SLOT, Failure.SITE_IN_USE, Failure.CANCELLED})
_SEVERITY = {state: place for place, state in enumerate(SiteState)}


class Waiting(StrEnum):
    """What a waiting site waits for."""

    MEASUREMENT = "measurement"
    VERDICT = "verdict"


@dataclass(frozen=True, slots=True)
class FloorFigure:
    """The last floor result of one direction: bit/s at the IP layer, against the floor it was judged by.

    ``time_us`` is when it was measured; what is not ``fresh`` no longer speaks for the present.
    """

    bps: float
    exact: bool
    floor_bps: float
    verdict: Verdict
    time_us: int
    fresh: bool


@dataclass(frozen=True, slots=True)
class SearchFigure:
    """The last search of one direction: the maximum in bit/s, and whether the line itself was the bound."""

    bps: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a probe's newest attempt gave no values. ``probe`` is "" for one of a newer agent."""

    probe: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """One line of the overview. Times are Unix microseconds, ``rtt_us`` the median of the worst class.

    ``loaded_us`` is the 95th percentile while a floor test ran, of the worse direction. ``shortfall`` is the
    missing share of the floor, of the worse direction; ``words`` what a search reads. ``outage`` is the one
    that the site is in or, of the last day, the newest; ``outage_lasts`` tells which.
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
    remarks: tuple[Notice, ...]
    newest_us: int | None
    troubles: tuple[Trouble, ...]
    outage: Outage | None
    outage_lasts: bool
    presence: PresenceState | None
    shortfall: float
    words: str


def summarise(site: LiveSite, now_us: int) -> SiteSummary:
    """The overview's line of a site."""
    found, state = site.inventory or Site(site.site_id, ""), state_of(site, now_us)
    figures = [_figure(site, direction, now_us) for direction in (Direction.DOWN, Direction.UP)]
    texts = (found.site_id, found.name, found.category, found.departement, found.commune, found.supplier)
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
        remarks=remarks(site, now_us),
        newest_us=site.newest_us,
        troubles=tuple(dict.fromkeys(_troubles(site, now_us))),
        outage=lasting or _newest_outage(site, now_us),
        outage_lasts=lasting is not None,
        presence=site.presence,
        shortfall=max(0.0, *(_shortfall(figure) for figure in figures)),
        words=fold(" ".join((*texts, found.pop))),
    )


def _newest_outage(site: LiveSite, now_us: int) -> Outage | None:
    """Of those that are over as their agent told; one never closed is told of on the page of outages."""
    over = [each for each in site.outages.known.values() if each.end_us and now_us - each.end_us < KEPT_US]
    return max(over, key=lambda outage: (outage.begin_us, outage.name), default=None)


def _shortfall(figure: FloorFigure | None) -> float:
    return 1 - figure.bps / figure.floor_bps if figure and figure.floor_bps > 0 else 0.0


def _waiting(site: LiveSite) -> Waiting:
    return Waiting.VERDICT if site.series else Waiting.MEASUREMENT


def _figure(site: LiveSite, direction: Direction, now_us: int) -> FloorFigure | None:
    series = site.of_floor(direction)
    seen = series.valued if series else None
    if seen is None or not isinstance(seen.values, FloorValues):
        return None
    values = seen.values
    bps, exact = values.told_capacity()
    return FloorFigure(bps, exact, values.floor_bps, values.verdict, seen.time_us, is_fresh(seen, now_us))


def _search(site: LiveSite, direction: Direction, now_us: int) -> SearchFigure | None:
    for seen, values in current(site, CapacityValues, now_us):
        if seen.series.direction is direction:
            return SearchFigure(values.maximum_bps, values.bound is None)
    return None


def _loaded(site: LiveSite, now_us: int) -> int | None:
    """Of the floor's tests, which are of today; a search of last month says less of the line as it is now."""
    found = [values.under_load for _, values in current(site, FloorValues, now_us)]
    return max((load.loaded.p95_us for load in found if load and load.loaded), default=None)


def _trains(site: LiveSite, now_us: int) -> tuple[int | None, float | None]:
    """Median round-trip time and loss, each of the class that fares worst."""
    values = [found for _, found in current(site, StampValues, now_us)]
    rtt_us = max((found.rtt.p50_us for found in values if found.rtt), default=None)
    return rtt_us, max((found.loss_ratio for found in values), default=None)


def _troubles(site: LiveSite, now_us: int) -> Iterator[Trouble]:
    """Of every series, for a floor test that fails hides behind a train each minute that does not.

    What every agent leaves out now and then is told only where no values stand.
    """
    for series, found in site.series.items():
        failure = found.newest.failure
        if found.newest.outcome is Outcome.OK or failure is None or failure is Failure.BUDGET_SPENT:
            continue  # a budget has a remark of its own
        if failure not in _ROUTINE or not is_fresh(found.valued, now_us):
            yield Trouble(series.probe if series.probe in KNOWN else "", failure)


def fold(text: str) -> str:
    """Lower case without accents, so that "lycee" finds "Lycée"."""
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()


def page_asked(query: Mapping[str, str]) -> int:
    """Which page of a list is asked for, from 1 on; the first where that makes no sense."""
    page = query.get("page", "")
    return int(page) if page.isascii() and page.isdecimal() and len(page) < 7 and int(page) else 1


@dataclass(frozen=True, slots=True)
class OverviewFilter:
    """What a reader asked for; ``page`` counts from 1."""

    state: SiteState | None = None
    departement: str = ""
    text: str = ""
    page: int = 1

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "OverviewFilter":
        """Read a query string; what makes no sense is left out."""
        state = query.get("state", "")
        return cls(
            state=SiteState(state) if state in set(SiteState) else None,
            departement=query.get("departement", "")[:MAX_SEARCH],
            text=query.get("q", "")[:MAX_SEARCH].strip(),
            page=page_asked(query),
        )


@dataclass(frozen=True, slots=True)
class Overview:
    """One page: the rows, and counts of everything that departement and text let through."""

    rows: list[SiteSummary]
    counts: Mapping[SiteState, int]
    total: int
    matching: int
    page: int
    pages: int
    departements: list[str]


def overview(sites: Iterable[SiteSummary], wanted: OverviewFilter) -> Overview:
    """Filter, sort worst first, and cut out one page."""
    everything = list(sites)
    words = fold(wanted.text).split()
    within = [
        site
        for site in everything
        if wanted.departement in ("", site.site.departement) and all(word in site.words for word in words)
    ]
    matching = [site for site in within if wanted.state in (None, site.state)]
    matching.sort(key=_worst_first)
    pages = max(1, -(-len(matching) // PAGE_ROWS))
    page = min(wanted.page, pages)
    return Overview(
        rows=matching[(page - 1) * PAGE_ROWS : page * PAGE_ROWS],
        counts=Counter(site.state for site in within),
        total=len(everything),
        matching=len(matching),
        page=page,
        pages=pages,
        departements=sorted({site.site.departement for site in everything} - {""}),
    )


def _worst_first(site: SiteSummary) -> tuple[int, float, str]:
    return _SEVERITY[site.state], -site.shortfall, site.site.site_id
