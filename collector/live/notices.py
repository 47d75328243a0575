"""Notices: lines on the overview about a site, beside its state and figures. Pure.

A notice is a word with its figures. Its sentence is in ``collector.pages.texts`` or with the kind of
measurement that gives it.
"""

from collections.abc import Iterator
from enum import StrEnum

from collector.kinds import BY_PROBE, BY_VALUES
from collector.kinds.views import is_fresh
from collector.live.site_state import LiveSite, standing_of
from collector.model.notice import Notice
from wire.records import Direction, Standing

DISAGREED_US = 86_400_000_000  # a disagreement is shown for a day


class NoticeKind(StrEnum):
    """Subject of a notice about the site as a whole. Kinds of measurement have words of their own."""

    SUSPECT = "suspect"
    RECORDS_DISAGREE = "records-disagree"
    CLAIMED_TWICE = "claimed-twice"


def notices(site: LiveSite, now_us: int) -> tuple[Notice, ...]:
    """Notices about a site, those that concern the evidence first."""
    return (*_suspect(site), *_disagreements(site, now_us), *dict.fromkeys(_of_kinds(site, now_us)))


def _suspect(site: LiveSite) -> Iterator[Notice]:
    for direction in (Direction.DOWN, Direction.UP):
        series = site.floor_series(direction)
        if series is not None and standing_of(series) is Standing.SUSPECT:
            yield Notice(NoticeKind.SUSPECT, direction)


def _disagreements(site: LiveSite, now_us: int) -> Iterator[Notice]:
    for direction, compared in sorted(site.comparisons.disagreements.items()):
        if now_us - compared.time_us < DISAGREED_US:
            percent = round(100 * (compared.difference or 0))
            yield Notice(NoticeKind.RECORDS_DISAGREE, direction, number=percent)
    for direction, claimed in sorted(site.comparisons.ambiguous.items()):
        if now_us - claimed.time_us < DISAGREED_US:
            yield Notice(NoticeKind.CLAIMED_TWICE, direction)


def _of_kinds(site: LiveSite, now_us: int) -> Iterator[Notice]:
    for series in site.series.values():
        seen = series.valued
        kind = BY_VALUES.get(type(seen.values)) if seen is not None and seen.values is not None else None
        if seen is not None and kind is not None and is_fresh(seen, now_us):
            yield from kind.notices(seen, seen.values)
        attempted = BY_PROBE.get(series.newest.series.probe)
        if attempted is not None and is_fresh(series.newest, now_us):
            yield from attempted.attempt_notices(series.newest)
