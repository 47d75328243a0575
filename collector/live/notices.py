"""What else is worth a line on the overview: classes not kept, the path, a budget spent, sides that disagree.

Pure; each remark is a word of a closed vocabulary and its figures, the sentence is the catalogue's.
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
    """What there is to remark. Figures: see the catalogue's sentences."""

    SUSPECT = "suspect"
    SIDES_DISAGREE = "sides-disagree"
    CLASS_CHANGED = "class-changed"
    PATH_CLASS_CHANGED = "path-class-changed"
    PATH_MTU = "path-mtu"
    BLACK_HOLE = "black-hole"
    NOT_REACHED = "not-reached"
    BUDGET_SPENT = "budget-spent"


@dataclass(frozen=True, slots=True)
class Notice:
    """One remark: ``number`` and ``other`` are figures of its sentence, ``place`` a router or nothing."""

    kind: NoticeKind
    direction: Direction | None = None
    number: int = 0
    other: int = 0
    place: str = ""


def remarks(site: LiveSite, now_us: int) -> tuple[Notice, ...]:
    """Everything to remark of a site, what concerns the evidence first."""
    return (
        *_suspect(site),
        *_sides(site, now_us),
        *dict.fromkeys(remark for seen in _current(site, now_us) for remark in _of(seen)),
        *_budget(site, now_us),
    )


def _current(site: LiveSite, now_us: int) -> Iterator[Observation]:
    for series in site.series.values():
        if series.valued is not None and is_fresh(series.valued, now_us):
            yield series.valued


def _suspect(site: LiveSite) -> Iterator[Notice]:
    for direction in (Direction.DOWN, Direction.UP):
        series = site.of_floor(direction)
        if series is not None and standing_of(series) is Standing.SUSPECT:
            yield Notice(NoticeKind.SUSPECT, direction)


def _sides(site: LiveSite, now_us: int) -> Iterator[Notice]:
    for direction, joined in sorted(site.disagreed.items()):
        if now_us - joined.time_us < DISAGREED_US:
            yield Notice(NoticeKind.SIDES_DISAGREE, direction, number=round(100 * (joined.difference or 0)))


def _of(seen: Observation) -> Iterator[Notice]:
    if isinstance(seen.values, StampValues):
        yield from _classes(seen.series.dscp, seen.values)
    elif isinstance(seen.values, PathValues):
        yield from _path(seen.series.dscp, seen.values)


def _classes(sent: int | None, found: StampValues) -> Iterator[Notice]:
    if sent is not None and found.forward_dscp is not None and found.forward_dscp != sent:
        yield Notice(NoticeKind.CLASS_CHANGED, Direction.UP, sent, found.forward_dscp)
    wished = None if found.reply_refused else found.wished_dscp
    if wished is not None and found.reply_dscp is not None and found.reply_dscp != wished:
        yield Notice(NoticeKind.CLASS_CHANGED, Direction.DOWN, wished, found.reply_dscp)


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
