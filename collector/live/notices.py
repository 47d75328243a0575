"""Notices of a site: those of its kinds of measurement, and those that concern the site as a whole.

Pure; a notice is a word and its figures, the sentence is the catalogue's.
"""

from collections.abc import Iterator

from collector.kinds import BY_VALUES
from collector.kinds.views import is_fresh
from collector.live.site_state import LiveSite, standing_of
from collector.model.notice import Notice
from wire.records import Direction, Failure, Standing

DISAGREED_US = 86_400_000_000  # a disagreement is shown for a day

SUSPECT = "suspect"
SIDES_DISAGREE = "sides-disagree"
BUDGET_SPENT = "budget-spent"


def notices(site: LiveSite, now_us: int) -> tuple[Notice, ...]:
    """All notices of a site, what concerns the evidence first."""
    return (
        *_suspect(site),
        *_sides(site, now_us),
        *dict.fromkeys(_of_kinds(site, now_us)),
        *_budget(site, now_us),
    )


def _suspect(site: LiveSite) -> Iterator[Notice]:
    for direction in (Direction.DOWN, Direction.UP):
        series = site.of_floor(direction)
        if series is not None and standing_of(series) is Standing.SUSPECT:
            yield Notice(SUSPECT, direction)


def _sides(site: LiveSite, now_us: int) -> Iterator[Notice]:
    for direction, joined in sorted(site.disagreed.items()):
        if now_us - joined.time_us < DISAGREED_US:
            yield Notice(SIDES_DISAGREE, direction, number=round(100 * (joined.difference or 0)))


def _of_kinds(site: LiveSite, now_us: int) -> Iterator[Notice]:
    for series in site.series.values():
        seen = series.valued
        kind = BY_VALUES.get(type(seen.values)) if seen is not None and seen.values is not None else None
        if seen is not None and kind is not None and is_fresh(seen, now_us):
            yield from kind.notices(seen, seen.values)


def _budget(site: LiveSite, now_us: int) -> Iterator[Notice]:
    skipped = (series.newest for series in site.series.values() if is_fresh(series.newest, now_us))
    if any(seen.failure is Failure.BUDGET_SPENT for seen in skipped):
        yield Notice(BUDGET_SPENT)
