"""How complete the ledger is: what it holds of each site, what it lacks, and what is in doubt; worst first.

Pure; words and looks are the page's, figures the ledger's (``collector.ledger.read.completeness``).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from msgspec import Struct

from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Site
from collector.pages.overview import MAX_SEARCH, PAGE_ROWS, fold, page_asked
from host.units import counted


class CompletenessFinding(StrEnum):
    """What may be wrong with what the ledger holds of a site; several may be at once. Worst first."""

    DOUBTFUL = "in-doubt"
    MISSING = "missing"
    DECLARED = "declared-lost"
    WHOLE = "complete"


def is_so(held: SiteCompleteness, finding: CompletenessFinding) -> bool:
    """Whether a finding holds of a site."""
    match finding:
        case CompletenessFinding.DOUBTFUL:
            return held.conflicts > 0 or held.forks > 0
        case CompletenessFinding.MISSING:
            return held.missing > 0
        case CompletenessFinding.DECLARED:
            return bool(held.declared)
        case CompletenessFinding.WHOLE:
            return held.is_whole


def worst(held: SiteCompleteness) -> CompletenessFinding:
    """The worst finding that holds."""
    return next(finding for finding in CompletenessFinding if is_so(held, finding))


@dataclass(frozen=True, slots=True)
class CompletenessFilter:
    """What a reader asked for; ``page`` counts from 1."""

    finding: CompletenessFinding | None = None
    text: str = ""
    page: int = 1

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "CompletenessFilter":
        """Read a query string; what makes no sense is left out."""
        finding = query.get("show", "")
        return cls(
            finding=CompletenessFinding(finding) if finding in set(CompletenessFinding) else None,
            text=query.get("q", "")[:MAX_SEARCH].strip(),
            page=page_asked(query),
        )


class CompletenessLine(Struct, frozen=True, gc=False):
    """One site of the list, and what the inventory says of it."""

    site: Site
    held: SiteCompleteness


@dataclass(frozen=True, slots=True)
class CompletenessList:
    """One page of sites; counts are of all that the text lets through."""

    lines: list[CompletenessLine]
    counts: Mapping[CompletenessFinding, int]
    within: int
    matching: int
    page: int
    pages: int


def listing(
    held: Iterable[SiteCompleteness], known: Callable[[str], Site | None], wanted: CompletenessFilter
) -> CompletenessList:
    """Filter, sort worst first, and cut out one page."""
    words = fold(wanted.text).split()
    lines = (CompletenessLine(known(one.site_id) or Site(one.site_id, ""), one) for one in held)
    within = [line for line in lines if _matches(line.site, words)]
    matching = [line for line in within if wanted.finding is None or is_so(line.held, wanted.finding)]
    pages = max(1, -(-len(matching) // PAGE_ROWS))
    page = min(wanted.page, pages)
    begin = (page - 1) * PAGE_ROWS  # sorting all of 60,000 would hold up every other thread for 0.1 s
    return CompletenessList(
        lines=nsmallest(begin + PAGE_ROWS, matching, key=_worst_first)[begin:],
        counts={
            finding: sum(is_so(line.held, finding) for line in within) for finding in CompletenessFinding
        },
        within=len(within),
        matching=len(matching),
        page=page,
        pages=pages,
    )


def _matches(site: Site, words: list[str]) -> bool:
    if not words:
        return True
    text = fold(f"{site.site_id} {site.name} {site.commune} {site.departement} {site.supplier}")
    return all(word in text for word in words)


def _worst_first(line: CompletenessLine) -> tuple[int, int, int, int, str]:
    held = line.held
    return (
        -held.conflicts - held.forks,
        -held.missing,
        -sum(held.declared.values()),
        -held.under_way,
        held.site_id,
    )


def account(held: Iterable[SiteCompleteness]) -> Iterator[str]:
    """What is lacking or in doubt, a line a site, and a line of all: for a terminal."""
    total: Counter[str] = Counter()
    sites = committed = 0
    for one in held:
        sites, committed = sites + 1, committed + one.committed
        figures = _figures(one)
        total.update(figures)
        if figures:
            yield f"site {one.site_id}: {_told(figures)}"
    yield f"{counted(sites, 'site')}: {_told({'committed': committed} | total)}"


def _figures(held: SiteCompleteness) -> dict[str, int]:
    named = {
        "missing": held.missing,
        "under way": held.under_way,
        **{f"declared lost ({reason})": lost for reason, lost in sorted(held.declared.items())},
        "in conflict": held.conflicts,
        "journal forks": held.forks,
    }
    return {name: count for name, count in named.items() if count}


def _told(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in figures.items())
