"""Outages as agents report them, each merged from the records of its beginning and of its end. Pure.

The result does not depend on the order in which the records arrive.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.model.observation import Observation
from wire.records import Cause, ReachabilityValues

KEPT_US = 86_400_000_000  # live state keeps ended outages for a day; older ones are read from the ledger
MAX_KEPT = 32  # outages of one site in live state: an agent could report any number of them
OPERATOR_CAUSES = frozenset({Cause.BROKER, Cause.COLLECTOR})


@dataclass(frozen=True, slots=True)
class Outage:
    """Outage of a site, as its agent reported it last. Times are Unix microseconds.

    A change happened at most its error before the reported moment. ``reported_us`` is the measurement time of
    the latest report, ``received_us`` its arrival. An outage is not ``dated`` if it began in a boot whose
    clock was never set.
    """

    site: str
    name: str
    begin_us: int
    begin_error_us: int
    end_us: int | None
    end_error_us: int | None
    cause: Cause
    peer: str
    reported_us: int
    order: int
    received_us: int
    dated: bool = True

    @property
    def lasted_us(self) -> int | None:
        """Duration, or None if beginning or end is unknown."""
        return max(0, self.end_us - self.begin_us) if self.end_us is not None and self.dated else None

    def is_newer_than(self, other: "Outage") -> bool:
        """Compare two reports of one outage: a report of the end wins, else the later one."""
        mine, others = ((one.end_us is not None, one.reported_us, one.order) for one in (self, other))
        return mine > others


def outage_of(seen: Observation) -> Outage | None:
    """Outage reported by an observation, or None for any other observation."""
    if not isinstance(seen.values, ReachabilityValues):
        return None
    return outage_of_values(
        seen.values,
        site=seen.series.site,
        peer=seen.peer,
        reported_us=seen.time_us,
        order=seen.order,
        received_us=seen.received_us,
    )


def outage_of_values(
    values: ReachabilityValues, *, site: str, peer: str, reported_us: int, order: int, received_us: int
) -> Outage:
    """Outage reported by the values of one record, whose moments have corrected times."""
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
        reported_us=reported_us,
        order=order,
        received_us=received_us,
        dated=same_boot or values.begin.synchronised,
    )


@dataclass(slots=True)
class RecentOutages:
    """Newest outages of one site."""

    known: dict[str, Outage] = field(default_factory=dict)

    def learn(self, outage: Outage) -> None:
        """Keep a report if it is the newest of its outage. Beyond 32 outages, drop the oldest.

        The newest report replaces the older one as a whole, its cause too: the agent knew more by then.
        """
        before = self.known.get(outage.name)
        # The same order is the same record, whose time has been corrected since.
        if before is None or outage.order == before.order or outage.is_newer_than(before):
            self.known[outage.name] = outage
        if len(self.known) > MAX_KEPT:
            del self.known[min(self.known.values(), key=lambda each: (each.begin_us, each.name)).name]


def newest_reports(reports: Iterable[Outage]) -> list[Outage]:
    """Newest report of each outage of each site, in order of beginning."""
    known: dict[tuple[str, str], Outage] = {}
    for report in reports:
        before = known.get((report.site, report.name))
        if before is None or report.is_newer_than(before):
            known[report.site, report.name] = report
    return sorted(known.values(), key=lambda outage: (outage.begin_us, outage.site, outage.name))


def effective_end_us(outage: Outage, healthy_us: int | None) -> int | None:
    """Reported end of an outage, else the last time known to be within it, or None while it is open.

    ``healthy_us`` is the site's newest successful measurement over its line. It closes an outage whose end
    was never reported, because the agent was killed or its disk was full. An outage caused by broker or
    collector is closed by the arrival of its own record. One of the resolver is closed by its own end alone:
    measurements go on without it.
    """
    if outage.end_us is not None or outage.cause is Cause.DNS:
        return outage.end_us
    superseded = healthy_us is not None and healthy_us > outage.reported_us
    return outage.reported_us if superseded or outage.cause in OPERATOR_CAUSES else None
