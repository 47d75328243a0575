"""List of the sites by their completeness, those with the gravest finding first; and its form for a terminal.

Pure. ``collector.model.completeness`` explains the counts. A site may have several findings at once:

| finding       | condition                       | a reader should                                |
|---------------|---------------------------------|------------------------------------------------|
| in-doubt      | a conflict or a fork            | find out who measures as this site             |
| missing       | a measurement is missing        | look at the agent's journal, broker and ledger |
| declared-lost | a measurement was declared lost | look at the reason: disk, journal size         |
| complete      | none of these                   | do nothing                                     |

Sites are sorted by the counts in the order of these rows, then by the pending measurements, then by id.
Pending measurements are no finding: they are the normal state of the last minutes.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from heapq import nsmallest

from msgspec import Struct

from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Site
from collector.pages.overview import MAX_SEARCH, PAGE_ROWS, fold, page_asked, searched
from host.units import counted as amount


class CompletenessFinding(StrEnum):
    """Finding about the completeness of a site, gravest first."""

    DOUBTFUL = "in-doubt"
    MISSING = "missing"
    DECLARED = "declared-lost"
    COMPLETE = "complete"


def applies(finding: CompletenessFinding, counted: SiteCompleteness) -> bool:
    """Check one row of the module's table for a site."""
    match finding:
        case CompletenessFinding.DOUBTFUL:
            return counted.conflicts > 0 or counted.forks > 0
        case CompletenessFinding.MISSING:
            return counted.missing > 0
        case CompletenessFinding.DECLARED:
            return bool(counted.declared)
        case CompletenessFinding.COMPLETE:
            return counted.is_complete


def worst(counted: SiteCompleteness) -> CompletenessFinding:
    """Gravest finding of a site."""
    return next(finding for finding in CompletenessFinding if applies(finding, counted))


@dataclass(frozen=True, slots=True)
class CompletenessFilter:
    """Filter that a reader asked for; ``page`` counts from 1."""

    finding: CompletenessFinding | None = None
    text: str = ""
    page: int = 1

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "CompletenessFilter":
        """Read a query string, without what makes no sense in it."""
        finding = query.get("show", "")
        return cls(
            finding=CompletenessFinding(finding) if finding in set(CompletenessFinding) else None,
            text=query.get("q", "")[:MAX_SEARCH].strip(),
            page=page_asked(query),
        )


class CompletenessLine(Struct, frozen=True, gc=False):
    """One site of the list, with its line of the inventory."""

    site: Site
    counted: SiteCompleteness


@dataclass(frozen=True, slots=True)
class CompletenessList:
    """One page of the list; ``counts`` and ``within`` are of all sites that match the text."""

    lines: list[CompletenessLine]
    counts: Mapping[CompletenessFinding, int]
    within: int
    matching: int
    page: int
    pages: int


def listing(
    counted: Iterable[SiteCompleteness], known: Callable[[str], Site | None], wanted: CompletenessFilter
) -> CompletenessList:
    """Filter, sort and cut out one page."""
    words = fold(wanted.text).split()
    lines = (CompletenessLine(known(one.site_id) or Site(one.site_id, ""), one) for one in counted)
    within = [line for line in lines if _matches(line.site, words)]
    finding = wanted.finding
    matching = [line for line in within if finding is None or applies(finding, line.counted)]
    pages = max(1, -(-len(matching) // PAGE_ROWS))
    page = min(wanted.page, pages)
    begin = (page - 1) * PAGE_ROWS
    return CompletenessList(
        # Sorting all of 60,000 sites would hold up every other thread for 0.1 s.
        lines=nsmallest(begin + PAGE_ROWS, matching, key=_gravest_first)[begin:],
        counts={each: sum(applies(each, line.counted) for line in within) for each in CompletenessFinding},
        within=len(within),
        matching=len(matching),
        page=page,
        pages=pages,
    )


def _matches(site: Site, words: list[str]) -> bool:
    return not words or all(word in searched(site) for word in words)


def _gravest_first(line: CompletenessLine) -> tuple[int, int, int, int, str]:
    counted = line.counted
    return (
        -counted.conflicts - counted.forks,
        -counted.missing,
        -sum(counted.declared.values()),
        -counted.pending,
        counted.site_id,
    )


def account(sites: Iterable[SiteCompleteness]) -> Iterator[str]:
    """Make lines for a terminal: one for each site with anything but committed, and the total."""
    total: Counter[str] = Counter()
    number = committed = 0
    for one in sites:
        number, committed = number + 1, committed + one.committed
        figures = _figures(one)
        total.update(figures)
        if figures:
            yield f"site {one.site_id}: {_joined(figures)}"
    yield f"{amount(number, 'site')}: {_joined({'committed': committed} | total)}"


def _figures(counted: SiteCompleteness) -> dict[str, int]:
    named = {
        "missing": counted.missing,
        "pending": counted.pending,
        **{f"declared lost ({reason})": lost for reason, lost in sorted(counted.declared.items())},
        "in conflict": counted.conflicts,
        "journal forks": counted.forks,
    }
    return {name: count for name, count in named.items() if count}


def _joined(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in figures.items())
