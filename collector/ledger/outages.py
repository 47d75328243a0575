"""Outages as the ledger holds them: for live state after a restart, and for the page that lists them."""

from pathlib import Path
from typing import Any

from msgspec import structs
from sqlalchemy import Connection, Select, func, select
from sqlalchemy.exc import SQLAlchemyError

from collector.absences import OVER_THE_LINE
from collector.ledger import rows
from collector.ledger.database import LedgerError, connect, explain
from collector.ledger.schema import (
    batches,
    boots,
    measurements,
    names,
    reachability_values,
    series,
    sites,
)
from collector.observation import moments_placed
from collector.outages import Outage, learn_every, outage_of_values
from wire.records import Outcome, ReachabilityValues

MOST_RECORDS = 200_000  # of a period, the newest: 60,000 sites with an outage a week tell 500,000 in a month


def outages(path: Path, since_us: int) -> list[Outage]:
    """Every outage of which was told since then, each whole. Raises LedgerError where it cannot be read."""
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            return learn_every(_told(connection, since_us))
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


def healthy_after(path: Path, open_ones: list[Outage]) -> dict[tuple[str, str], int]:
    """Of outages without an end, by site and name, when the site next measured over its line, if it did.

    Raises LedgerError.
    """
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            found = {
                (outage.site, outage.name): connection.execute(_healthy(outage)).scalar()
                for outage in open_ones
            }
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()
    return {key: time_us for key, time_us in found.items() if time_us is not None}


def last_received_us(path: Path) -> int | None:
    """When the ledger last took anything of a site. Raises LedgerError where the file cannot be read."""
    engine = connect(path, writing=False)
    newest = select(batches.c.received_us).order_by(batches.c.key.desc()).limit(1)
    try:
        with engine.begin() as connection:
            found: int | None = connection.execute(newest).scalar()
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()
    return found


def _told(connection: Connection, since_us: int) -> list[Outage]:
    known = _Words(connection)
    found = []
    for row in connection.execute(_query(since_us)):
        fields = rows.REACHABILITY.fields(row._mapping, known.__getitem__, "v_")
        boot_id = known[row.boot_key]
        values = moments_placed(ReachabilityValues(**fields), boot_id, row.boot_us, row.time_us)
        if row.begin_offset_us is not None:
            values = _begun_in_a_known_boot(values, row.begin_offset_us, row.time_us)
        found.append(
            outage_of_values(
                values,
                site=row.site_id,
                peer=known[row.peer_key],
                told_us=row.time_us,
                order=row.key,
                received_us=row.received_us,
            )
        )
    return found


def _begun_in_a_known_boot(values: ReachabilityValues, offset_us: int, time_us: int) -> ReachabilityValues:
    """The outage with its beginning by what is known of the clocks of that earlier boot."""
    begin = values.begin
    wall_us = min(max(0, begin.boot_us + offset_us), time_us)
    return structs.replace(values, begin=structs.replace(begin, wall_us=wall_us, synchronised=True))


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


def _query(since_us: int) -> Select[Any]:
    """By way of each series' index on time: what is older than the period is not read."""
    m, v = measurements, reachability_values
    tables = (
        series.join(m, m.c.series_key == series.c.key)
        .join(v, v.c.measurement_key == m.c.key)
        .join(sites, sites.c.key == series.c.site_key)
        .join(batches, batches.c.key == m.c.batch_key)
        .outerjoin(boots, _of_begin(v))
    )
    columns: list[Any] = [m.c.key, m.c.time_us, m.c.boot_us, m.c.boot_key, m.c.peer_key]
    columns += [sites.c.site_id, batches.c.received_us, boots.c.offset_us.label("begin_offset_us")]
    columns += [column.label(f"v_{column.name}") for column in v.c]
    return (
        select(*columns)
        .select_from(tables)
        .where(series.c.probe_key == _name_key("reachability"), _believed(), m.c.time_us >= since_us)
        .order_by(m.c.time_us.desc())
        .limit(MOST_RECORDS)
    )


def _of_begin(v: Any) -> Any:
    """The boot in which the outage began, where that is not the measurement's own."""
    named = select(names.c.key).where(names.c.name == v.c.begin_boot_id).scalar_subquery()
    return (
        (boots.c.site_key == series.c.site_key)
        & (boots.c.boot_key == named)
        & (boots.c.boot_key != measurements.c.boot_key)
    )


def _healthy(outage: Outage) -> Select[Any]:
    """The first of each of the site's series, and of them the first: each is one look into its index."""
    m = measurements
    first = (
        select(m.c.time_us)
        .where(
            m.c.series_key == series.c.key,
            _believed(),
            m.c.outcome_key == _name_key(Outcome.OK),
            m.c.time_us > outage.told_us,
        )
        .order_by(m.c.time_us)
        .limit(1)
        .correlate(series)
        .scalar_subquery()
    )
    of_line = select(names.c.key).where(names.c.name.in_(sorted(OVER_THE_LINE)))
    return (
        select(func.min(first))
        .select_from(series.join(sites, sites.c.key == series.c.site_key))
        .where(sites.c.site_id == outage.site, series.c.probe_key.in_(of_line))
    )


def _believed() -> Any:
    return measurements.c.ahead.is_(False) & measurements.c.outdated.is_(False)


def _name_key(word: str) -> Any:
    return select(names.c.key).where(names.c.name == word).scalar_subquery()
