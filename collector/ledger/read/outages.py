"""Outages as the ledger holds them: for live state after a restart, and for the page that lists them."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import CTE, BigInteger, Connection, Select, Text, bindparam, column, func, select, values
from sqlalchemy.exc import SQLAlchemyError

from collector.kinds import PROVES_LINE
from collector.ledger.schema import (
    batches,
    boots,
    measurements,
    names,
    series,
    sites,
)
from collector.ledger.schema.values import VALUES
from collector.ledger.store import LedgerError, connect, explain
from collector.model.observation import begun_by, moments_placed
from collector.model.outages import KEPT_US, MAX_KEPT, Outage, newest_reports, outage_of_values
from wire.records import Outcome, ReachabilityValues

_REACHABILITY = VALUES["reachability"]
MOST_OF_SITE = 2000  # records of a period, the newest: a line that flaps once an hour tells 1,500 in a month
MOST_IN_ALL = 200_000
"""60,000 sites with an outage a week tell 500,000 in a month: each then has the same share."""

ASKED_AT_ONCE = 500  # sites
_WORDS = 4  # records of one outage: of its beginning, its end, and of another cause meanwhile


class Period(NamedTuple):
    """Outages by their beginning. ``partly``: of sites that told more, since when all of it is here."""

    outages: list[Outage]
    partly: dict[str, int]


def outages(path: Path, since_us: int) -> Period:
    """Every outage of which was told since then, each whole. Raises LedgerError where it cannot be read.

    Of each site the newest so many, so that what one tells never stands in the place of what others do.
    """
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            period = {"probe": _probe_key(connection), "since": since_us}
            counts = connection.execute(_COUNTS, period | {"most": MOST_OF_SITE + 1}).all()
            share = fair_share([row.told for row in counts], MOST_OF_SITE, MOST_IN_ALL)
            words = _told(connection, period | {"share": share})
            partly = {row.site_id for row in counts if row.told > share}
            return Period(newest_reports(words), _since(words, partly))
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


def newest_of(connection: Connection, site_key: int) -> list[Outage]:
    """What live state keeps of one site's outages, as it would be rebuilt now."""
    period = _last_day(connection)
    return newest_reports(_told(connection, period | {"share": _WORDS * MAX_KEPT}, site_key))


def began_in(connection: Connection, site_key: int, boot_key: int) -> bool:
    """Whether live state may keep an outage of the site that began in this boot and was told in another."""
    bounds = _last_day(connection) | {"site": site_key, "boot": boot_key}
    return connection.execute(_BEGAN_IN, bounds).first() is not None


def healthy_after(path: Path, open_ones: list[Outage]) -> dict[tuple[str, str], int]:
    """Of outages without an end, by site and name, when the site next measured over its line, if it did.

    Raises LedgerError.
    """
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            return _healthy_after(connection, open_ones)
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


def last_received_us(path: Path) -> int | None:
    """When the ledger last took anything of a site. Raises LedgerError where the file cannot be read."""
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            found: int | None = connection.execute(_NEWEST_RECEIVED).scalar()
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()
    return found


def fair_share(counts: Iterable[int], most: int, in_all: int) -> int:
    """How many each may have of what they have, none more than ``most``, so that all fit.

    What those leave who have little is the others'. Each has one at least.
    """
    left, wanted = in_all, sorted(min(count, most) for count in counts)
    for served, count in enumerate(wanted):
        share = left // (len(wanted) - served)
        if count > share:
            return max(1, share)
        left -= count
    return most


def _since(words: Iterable[Outage], sites_of: Collection[str]) -> dict[str, int]:
    """By site: when the first of these was told."""
    since: dict[str, int] = {}
    for word in words:
        if word.site in sites_of:
            since[word.site] = min(word.reported_us, since.get(word.site, word.reported_us))
    return since


def _probe_key(connection: Connection) -> int | None:
    found: int | None = connection.execute(select(_name_key("reachability"))).scalar()
    return found


def _last_day(connection: Connection) -> dict[str, int | None]:
    """The period of which live state keeps outages, up to what came last."""
    received_us: int = connection.execute(_NEWEST_RECEIVED).scalar() or 0
    return {"probe": _probe_key(connection), "since": received_us - KEPT_US}


def _told(
    connection: Connection, bounds: Mapping[str, int | None], site_key: int | None = None
) -> list[Outage]:
    known = _Words(connection)
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


class _Words(dict[int, str]):
    """Names by key, each asked for once: of every boot there is one."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, key: int) -> str:
        query = select(names.c.name).where(names.c.key == key)
        found: str = self._connection.execute(query).scalar_one()
        self[key] = found
        return found


def _of_begin(v: Any) -> Any:
    """The boot in which the outage began, where that is not the measurement's own."""
    named = select(names.c.key).where(names.c.name == v.c.begin_boot_id).scalar_subquery()
    return (
        (boots.c.site_key == series.c.site_key)
        & (boots.c.boot_key == named)
        & (boots.c.boot_key != measurements.c.boot_key)
    )


def _of_period(table: Any, of: Any) -> tuple[Any, ...]:
    """By way of each series' index on time: what is older than the period is not read."""
    return (
        of.c.probe_key == bindparam("probe"),
        table.c.series_key == of.c.key,
        table.c.ahead.is_(False),
        table.c.time_error_us.is_not(None),
        table.c.time_us >= bindparam("since"),
    )


def _count() -> Select[Any]:
    """How much each site told in the period; beyond ``most`` it is not counted on."""
    m, of = measurements.alias("told"), series.alias("of_site")
    found = select(m.c.key).where(of.c.site_key == sites.c.key, *_of_period(m, of)).limit(bindparam("most"))
    told = select(func.count()).select_from(found.correlate(sites).subquery()).scalar_subquery()
    telling = select(series.c.site_key).where(series.c.probe_key == bindparam("probe"))
    return select(sites.c.site_id, told.label("told")).where(sites.c.key.in_(telling))


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
    telling = select(series.c.site_key).where(series.c.probe_key == bindparam("probe"))
    return select(*columns).select_from(tables).where(sites.c.key.in_(telling), _believed())


def _began_in() -> Select[Any]:
    m, v = measurements, _REACHABILITY.table
    named = select(names.c.name).where(names.c.key == bindparam("boot")).scalar_subquery()
    tables = series.join(m, m.c.series_key == series.c.key).join(v, v.c.measurement_key == m.c.key)
    elsewhere = (m.c.boot_key != bindparam("boot"), v.c.begin_boot_id == named)
    of_site = (series.c.site_key == bindparam("site"), *_of_period(m, series))
    return select(m.c.key).select_from(tables).where(*of_site, *elsewhere).limit(1)


def _healthy_after(connection: Connection, open_ones: Iterable[Outage]) -> dict[tuple[str, str], int]:
    """Each site is asked from its first outage on, and again only for what was told after the answer."""
    found: dict[tuple[str, str], int] = {}
    waiting: dict[str, list[Outage]] = defaultdict(list)
    for outage in sorted(open_ones, key=lambda each: each.reported_us):
        waiting[outage.site].append(outage)
    while waiting:
        healthy = _first_healthy(connection, {site: told[0].reported_us for site, told in waiting.items()})
        later: dict[str, list[Outage]] = {}
        for site, told in waiting.items():
            if (time_us := healthy.get(site)) is None:
                continue  # nor after what was told later
            found |= {(site, each.name): time_us for each in told if each.reported_us < time_us}
            later[site] = [each for each in told if each.reported_us >= time_us]
        waiting = {site: told for site, told in later.items() if told}
    return found


def _first_healthy(connection: Connection, after: Mapping[str, int]) -> dict[str, int]:
    """When each site first measured over its line after the moment given: one query for many."""
    found: dict[str, int] = {}
    asked = list(after.items())
    for start in range(0, len(asked), ASKED_AT_ONCE):
        of = values(column("site_id", Text), column("reported_us", BigInteger), name="of")
        query = _healthy(of.data(asked[start : start + ASKED_AT_ONCE]).cte("asked"))
        found |= {site: time_us for site, time_us in connection.execute(query) if time_us is not None}
    return found


def _healthy(asked: CTE) -> Select[Any]:
    """The first of each of the site's series, and of them the first: each is one look into its index."""
    m = measurements
    first = (
        select(m.c.time_us)
        .where(
            m.c.series_key == series.c.key,
            _believed(),
            m.c.outcome_key == _name_key(Outcome.OK),
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


def _believed() -> Any:
    m = measurements.c
    return m.ahead.is_(False) & m.time_error_us.is_not(None) & m.outdated.is_(False)


def _name_key(word: str) -> Any:
    return select(names.c.key).where(names.c.name == word).scalar_subquery()


_NEWEST_RECEIVED = select(batches.c.received_us).order_by(batches.c.key.desc()).limit(1)
_COUNTS, _QUERY, _BEGAN_IN = _count(), _query(), _began_in()
