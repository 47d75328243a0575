"""Notices: lines on the overview about a site, beside its state and figures. Pure.

A notice is a word of a closed vocabulary with its figures. Its sentence is in ``collector.pages.texts``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from collector.live.site_state import LiveSite, standing_of
from collector.model.freshness import is_fresh
from collector.model.observation import Observation
from wire.records import Direction, Failure, Hop, PathValues, StampValues, Standing

DISAGREED_US = 86_400_000_000  # a disagreement is shown for a day


class NoticeKind(StrEnum):
    """Subject of a notice; the catalogue's sentences have its figures."""

    SUSPECT = "suspect"
    RECORDS_DISAGREE = "records-disagree"
    CLASS_CHANGED = "class-changed"
    PATH_CLASS_CHANGED = "path-class-changed"
    PATH_MTU = "path-mtu"
    BLACK_HOLE = "black-hole"
    NOT_REACHED = "not-reached"
    BUDGET_SPENT = "budget-spent"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice: ``number`` and ``other`` are figures of its sentence, ``place`` is a router's address."""

    kind: NoticeKind
    direction: Direction | None = None
    number: int = 0
    other: int = 0
    place: str = ""


def notices(site: LiveSite, now_us: int) -> tuple[Notice, ...]:
    """Notices about a site, those that concern the evidence first."""
    return (
        *_suspect(site),
        *_disagreements(site, now_us),
        *dict.fromkeys(notice for seen in _current(site, now_us) for notice in _of(seen)),
        *_budget(site, now_us),
    )


def _current(site: LiveSite, now_us: int) -> Iterator[Observation]:
    for series in site.series.values():
        if series.valued is not None and is_fresh(series.valued, now_us):
            yield series.valued


def _suspect(site: LiveSite) -> Iterator[Notice]:
    for direction in (Direction.DOWN, Direction.UP):
        series = site.floor_series(direction)
        if series is not None and standing_of(series) is Standing.SUSPECT:
            yield Notice(NoticeKind.SUSPECT, direction)


def _disagreements(site: LiveSite, now_us: int) -> Iterator[Notice]:
    for direction, compared in sorted(site.disagreements.items()):
        if now_us - compared.time_us < DISAGREED_US:
            percent = round(100 * (compared.difference or 0))
            yield Notice(NoticeKind.RECORDS_DISAGREE, direction, number=percent)


def _of(seen: Observation) -> Iterator[Notice]:
    if isinstance(seen.values, StampValues):
        yield from _classes(seen.series.dscp, seen.values)
    elif isinstance(seen.values, PathValues):
        yield from _path(seen.series.dscp, seen.values)


def _classes(sent: int | None, found: StampValues) -> Iterator[Notice]:
    if sent is not None and found.forward_dscp is not None and found.forward_dscp != sent:
        yield Notice(NoticeKind.CLASS_CHANGED, Direction.UP, sent, found.forward_dscp)
    # A reflector that refused to set the class on its reply did not change it on the way.
    requested = None if found.reply_refused else found.wished_dscp
    if requested is not None and found.reply_dscp is not None and found.reply_dscp != requested:
        yield Notice(NoticeKind.CLASS_CHANGED, Direction.DOWN, requested, found.reply_dscp)


def _path(sent: int | None, found: PathValues) -> Iterator[Notice]:
    if found.dscp_changed_at is not None and sent is not None:
        place = _place(found, found.dscp_changed_at)
        yield Notice(NoticeKind.PATH_CLASS_CHANGED, None, sent, found.dscp_changed_at, place)
    if found.black_hole:
        yield Notice(NoticeKind.BLACK_HOLE, None, found.path_mtu_bytes or 0)
    elif found.mtu_limited_at is not None and found.path_mtu_bytes is not None:
        place = found.mtu_limited_by or _place(found, found.mtu_limited_at)
        yield Notice(NoticeKind.PATH_MTU, None, found.path_mtu_bytes, found.mtu_limited_at, place)
    if not found.reached:
        yield Notice(NoticeKind.NOT_REACHED, None, found.hops[-1].ttl if found.hops else 0)


def _place(found: PathValues, ttl: int) -> str:
    hops: list[Hop] = [hop for hop in found.hops if hop.ttl == ttl]
    return hops[0].address or "" if hops else ""


def _budget(site: LiveSite, now_us: int) -> Iterator[Notice]:
    skipped = (series.newest for series in site.series.values() if is_fresh(series.newest, now_us))
    if any(seen.failure is Failure.BUDGET_SPENT for seen in skipped):
        yield Notice(NoticeKind.BUDGET_SPENT)
