"""Outages as agents tell them, each put together from the records of its beginning and its end.

Pure: observations in, outages out, the same whatever order they came in.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.model.observation import Observation
from wire.records import Cause, ReachabilityValues

KEPT_US = 86_400_000_000  # live state keeps an outage that ended this long ago; older ones are the ledger's
LINE_PROBES = frozenset({"stamp", "floor", "capacity"})
MAX_KEPT = 32  # of one site, in live state
OPERATOR_CAUSES = frozenset({Cause.BROKER, Cause.COLLECTOR})  # what watches the site failed, and not the site


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage of a site: Unix microseconds; a change was at most its error before the moment told.

    ``told_us`` is when its agent told of it last, by measurement time, ``received_us`` when that came. Not
    ``dated`` is one that began in a boot whose clock was never set: nobody knows when.
    """

    site: str
    name: str
    begin_us: int
    begin_error_us: int
    end_us: int | None
    end_error_us: int | None
    cause: Cause
    peer: str
    told_us: int
    order: int
    received_us: int
    dated: bool = True

    @property
    def lasted_us(self) -> int | None:
        """From beginning to end, or None where one of them is not known."""
        return max(0, self.end_us - self.begin_us) if self.end_us is not None and self.dated else None

    def told_after(self, other: "Outage") -> bool:
        """Whether this is the later word of the two on one outage: the end's, else that of later time."""
        mine, others = ((told.end_us is not None, told.told_us, told.order) for told in (self, other))
        return mine > others


def outage_of(seen: Observation) -> Outage | None:
    """The outage that an observation tells of, if it does."""
    if not isinstance(seen.values, ReachabilityValues):
        return None
    return outage_of_values(
        seen.values,
        site=seen.series.site,
        peer=seen.peer,
        told_us=seen.time_us,
        order=seen.order,
        received_us=seen.received_us,
    )


def outage_of_values(
    values: ReachabilityValues, *, site: str, peer: str, told_us: int, order: int, received_us: int
) -> Outage:
    """The outage that a record's values tell of, its moments placed."""
    same_boot = values.end is None or values.end.boot_id == values.begin.boot_id
    return Outage(
        site=site,
        name=values.outage,
        begin_us=values.begin.wall_us,
        begin_error_us=values.begin_error_us,
        end_us=values.end.wall_us if values.end else None,
        end_error_us=values.end_error_us,
        cause=values.cause,
        peer=peer,
        told_us=told_us,
        order=order,
        received_us=received_us,
        dated=same_boot or values.begin.synchronised,
    )


@dataclass(slots=True)
class RecentOutages:
    """The newest outages of one site, and counters of those whose end came in time."""

    known: dict[str, Outage] = field(default_factory=dict)
    counted: Counter[Cause] = field(default_factory=Counter)
    lasted_us: Counter[Cause] = field(default_factory=Counter)

    def see(self, seen: Observation) -> None:
        """Learn what an observation tells of an outage, if it does."""
        if (told := outage_of(seen)) is not None:
            self.learn(told)

    def learn(self, told: Outage) -> None:
        """Take a word on an outage in. The later-told holds whole, its cause too: by then more was known.

        Of more than 32 the one that began first gives way.
        """
        before = self.known.get(told.name)
        if before is None or told.order == before.order or told.told_after(before):
            self.known[told.name] = told  # the same record again was placed anew
        if len(self.known) > MAX_KEPT:
            del self.known[min(self.known.values(), key=lambda outage: (outage.begin_us, outage.name)).name]

    def count(self, seen: Observation) -> None:
        """Count an outage whose end has just been told."""
        told = outage_of(seen)
        if told is not None and told.lasted_us is not None:
            self.counted[told.cause] += 1
            self.lasted_us[told.cause] += told.lasted_us


def newest_reports(told: Iterable[Outage]) -> list[Outage]:
    """Every outage of every site, each as it was told last, in order of their beginning."""
    known: dict[tuple[str, str], Outage] = {}
    for word in told:
        before = known.get((word.site, word.name))
        if before is None or word.told_after(before):
            known[word.site, word.name] = word
    return sorted(known.values(), key=lambda outage: (outage.begin_us, outage.site, outage.name))


def effective_end_us(outage: Outage, healthy_us: int | None) -> int | None:
    """When an outage was over: as told, or at the least until when it lasted, or None while it is open.

    ``healthy_us`` is the site's newest measurement over its line that succeeded. An agent that never told the
    end (killed, or its disk full) does not keep an outage open after that. One whose cause was the way to us
    is over once anything of it has come.
    """
    if outage.end_us is not None:
        return outage.end_us
    superseded = healthy_us is not None and healthy_us > outage.told_us
    return outage.told_us if superseded or outage.cause in OPERATOR_CAUSES else None
