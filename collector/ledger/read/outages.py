"""Outages in the ledger: for live state after a restart, and for the page that lists them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import CTE, BigInteger, Connection, Select, Text, bindparam, column, func, select, values

from collector.kinds import PROVES_LINE
from collector.ledger.read.terms import LAST_RECEIVED, NamesByKey, is_in_views, name_key, reading
from collector.ledger.schema.tables import batches, boots, measurements, names, series, sites
from collector.ledger.schema.values import VALUES
from collector.model.observation import begun_by, moments_placed
from collector.model.outages import KEPT_US, MAX_KEPT, Outage, newest_reports, outage_of_values
from wire.records import Outcome, ReachabilityValues

_REACHABILITY = VALUES["reachability"]
MOST_OF_SITE = 2000  # newest records of a period: a line that flaps once an hour makes 1,500 in a month
MOST_IN_ALL = 200_000
"""Bound of all sites: 60,000 with an outage a week make 500,000 in a month, and each then has one share."""

ASKED_AT_ONCE = 500  # sites
_REPORTS = 4  # records of one outage: of its beginning, its end, and of another cause meanwhile


class ReportedOutages(NamedTuple):
    """Outages in the order of their beginning.

    ``complete_since`` has the sites with more reports than are read, and the time of the first one read.
    """

    outages: list[Outage]
    complete_since: dict[str, int]


def outages(path: Path, since_us: int) -> ReportedOutages:
    """Outages reported since then, each whole. Raises LedgerError if the file cannot be read.

    Only the newest reports of a site are read, so that a site with many leaves room for the others.
    """
    with reading(path) as connection:
        period = {"probe": _probe_key(connection), "since": since_us}
        counts = connection.execute(_COUNTS, period | {"most": MOST_OF_SITE + 1}).all()
        share = fair_share([row.reports for row in counts], MOST_OF_SITE, MOST_IN_ALL)
        found = _reports(connection, period | {"share": share})
        incomplete = {row.site_id for row in counts if row.reports > share}
        return ReportedOutages(newest_reports(found), _first_reported(found, incomplete))


def newest_of(connection: Connection, site_key: int) -> list[Outage]:
    """Outages of one site that live state keeps."""
    period = _last_day(connection)
    return newest_reports(_reports(connection, period | {"share": _REPORTS * MAX_KEPT}, site_key))


def began_in(connection: Connection, site_key: int, boot_key: int) -> bool:
    """Check if live state may keep an outage of the site that began in this boot, reported in another one."""
    bounds = _last_day(connection) | {"site": site_key, "boot": boot_key}
    return connection.execute(_BEGAN_IN, bounds).first() is not None


def healthy_after(path: Path, open_ones: list[Outage]) -> dict[tuple[str, str], int]:
    """Time of the site's next success over its line after each outage without an end, by site and name.

    Raises LedgerError if the file cannot be read.
    """
    with reading(path) as connection:
        return _healthy_after(connection, open_ones)


def last_received_us(path: Path) -> int | None:
    """Time of the newest arrival from any site. Raises LedgerError if the file cannot be read."""
    with reading(path) as connection:
        found: int | None = connection.execute(LAST_RECEIVED).scalar()
    return found


def fair_share(counts: Iterable[int], most: int, in_all: int) -> int:
    """Greatest number that each may have, at most ``most`` and at least one, so that all fit in ``in_all``.

    Room that a small count leaves is given to the others.
    """
    left, wanted = in_all, sorted(min(count, most) for count in counts)
    for served, count in enumerate(wanted):
        share = left // (len(wanted) - served)
        if count > share:
            return max(1, share)
        left -= count
    return most


def _first_reported(reports: Iterable[Outage], of_sites: Collection[str]) -> dict[str, int]:
    """Time of the first of these reports, by site."""
    first: dict[str, int] = {}
    for report in reports:
        if report.site in of_sites:
            first[report.site] = min(report.reported_us, first.get(report.site, report.reported_us))
    return first


def _probe_key(connection: Connection) -> int | None:
    found: int | None = connection.execute(select(name_key("reachability"))).scalar()
    return found


def _last_day(connection: Connection) -> dict[str, int | None]:
    """The period of which live state keeps outages, up to the newest arrival."""
    received_us: int = connection.execute(LAST_RECEIVED).scalar() or 0
    return {"probe": _probe_key(connection), "since": received_us - KEPT_US}


def _reports(
    connection: Connection, bounds: Mapping[str, int | None], site_key: int | None = None
) -> list[Outage]:
    known = NamesByKey(connection)
    found = []
    query = _QUERY if site_key is None else _QUERY.where(sites.c.key == site_key)
    for row in connection.execute(query, bounds):
        fields = _REACHABILITY.layout.fields(row._mapping, known.__getitem__, "v_")
        boot_id = known[row.boot_key]
        values = moments_placed(ReachabilityValues(**fields), boot_id, row.boot_us, row.time_us)
        if row.begin_offset_us is not None:
            values = begun_by(values, row.begin_offset_us, row.time_us)
        found.append(
            outage_of_values(
                values,
                site=row.site_id,
                peer=known[row.peer_key],
                reported_us=row.time_us,
                order=row.key,
                received_us=row.received_us,
            )
        )
    return found


_REPORTING = select(series.c.site_key).where(series.c.probe_key == bindparam("probe"))


def _of_begin(v: Any) -> Any:
    """The boot in which the outage began, where that is not the measurement's own."""
    named = select(names.c.key).where(names.c.name == v.c.begin_boot_id).scalar_subquery()
    return (
        (boots.c.site_key == series.c.site_key)
        & (boots.c.boot_key == named)
        & (boots.c.boot_key != measurements.c.boot_key)
    )


def _of_period(table: Any, of: Any) -> tuple[Any, ...]:
    """Conditions in the order of each series' index on time: nothing older than the period is read."""
    return (
        of.c.probe_key == bindparam("probe"),
        table.c.series_key == of.c.key,
        table.c.ahead.is_(False),
        table.c.time_error_us.is_not(None),
        table.c.time_us >= bindparam("since"),
    )


def _count() -> Select[Any]:
    """Number of reports of each site in the period, counted up to ``most``."""
    m, of = measurements.alias("reported"), series.alias("of_site")
    found = select(m.c.key).where(of.c.site_key == sites.c.key, *_of_period(m, of)).limit(bindparam("most"))
    reports = select(func.count()).select_from(found.correlate(sites).subquery()).scalar_subquery()
    return select(sites.c.site_id, reports.label("reports")).where(sites.c.key.in_(_REPORTING))


def _query() -> Select[Any]:
    m, v = measurements, _REACHABILITY.table
    newest, of = measurements.alias("newest"), series.alias("of_site")
    share = (
        select(newest.c.key)
        .where(of.c.site_key == sites.c.key, *_of_period(newest, of))
        .order_by(newest.c.time_us.desc(), newest.c.key.desc())
        .limit(bindparam("share"))
        .correlate(sites)
    )
    tables = (
        sites.join(m, m.c.key.in_(share))
        .join(series, series.c.key == m.c.series_key)
        .join(v, v.c.measurement_key == m.c.key)
        .join(batches, batches.c.key == m.c.batch_key)
        .outerjoin(boots, _of_begin(v))
    )
    columns: list[Any] = [m.c.key, m.c.time_us, m.c.boot_us, m.c.boot_key, m.c.peer_key]
    columns += [sites.c.site_id, batches.c.received_us, boots.c.offset_us.label("begin_offset_us")]
    columns += [each.label(f"v_{each.name}") for each in v.c]
    return select(*columns).select_from(tables).where(sites.c.key.in_(_REPORTING), *is_in_views(m))


def _began_in() -> Select[Any]:
    m, v = measurements, _REACHABILITY.table
    named = select(names.c.name).where(names.c.key == bindparam("boot")).scalar_subquery()
    tables = series.join(m, m.c.series_key == series.c.key).join(v, v.c.measurement_key == m.c.key)
    elsewhere = (m.c.boot_key != bindparam("boot"), v.c.begin_boot_id == named)
    of_site = (series.c.site_key == bindparam("site"), *_of_period(m, series))
    return select(m.c.key).select_from(tables).where(*of_site, *elsewhere).limit(1)


def _healthy_after(connection: Connection, open_ones: Iterable[Outage]) -> dict[tuple[str, str], int]:
    """Search each site from its first outage on, and again only after reports later than what was found."""
    found: dict[tuple[str, str], int] = {}
    waiting: dict[str, list[Outage]] = defaultdict(list)
    for outage in sorted(open_ones, key=lambda each: each.reported_us):
        waiting[outage.site].append(outage)
    while waiting:
        healthy = _first_healthy(connection, {site: each[0].reported_us for site, each in waiting.items()})
        later: dict[str, list[Outage]] = {}
        for site, open_of_site in waiting.items():
            if (time_us := healthy.get(site)) is None:
                continue  # no success after the first outage, so none after a later one
            found |= {(site, each.name): time_us for each in open_of_site if each.reported_us < time_us}
            later[site] = [each for each in open_of_site if each.reported_us >= time_us]
        waiting = {site: left for site, left in later.items() if left}
    return found


def _first_healthy(connection: Connection, after: Mapping[str, int]) -> dict[str, int]:
    """First success of each site over its line after a time, one query for many sites."""
    found: dict[str, int] = {}
    asked = list(after.items())
    for start in range(0, len(asked), ASKED_AT_ONCE):
        of = values(column("site_id", Text), column("reported_us", BigInteger), name="of")
        query = _healthy(of.data(asked[start : start + ASKED_AT_ONCE]).cte("asked"))
        found |= {site: time_us for site, time_us in connection.execute(query) if time_us is not None}
    return found


def _healthy(asked: CTE) -> Select[Any]:
    """First success of each series, and the first of those; each is one look into its index."""
    m = measurements
    first = (
        select(m.c.time_us)
        .where(
            m.c.series_key == series.c.key,
            *is_in_views(m),
            m.c.outcome_key == name_key(Outcome.OK),
            m.c.time_us > asked.c.reported_us,
        )
        .order_by(m.c.time_us)
        .limit(1)
        .correlate(series, asked)
        .scalar_subquery()
    )
    of_line = select(names.c.key).where(names.c.name.in_(sorted(PROVES_LINE)))
    of_site = select(func.min(first)).where(series.c.site_key == sites.c.key, series.c.probe_key.in_(of_line))
    return select(asked.c.site_id, of_site.correlate(sites, asked).scalar_subquery()).select_from(
        asked.join(sites, sites.c.site_id == asked.c.site_id)
    )


_COUNTS, _QUERY, _BEGAN_IN = _count(), _query(), _began_in()
