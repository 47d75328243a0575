"""Reading the ledger: what live state is rebuilt from when the collector starts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.exc import SQLAlchemyError

from collector.ledger.database import LedgerError, connect, explain
from collector.ledger.schema import (
    batches,
    floor_values,
    measurements,
    names,
    series,
    sites,
    stamp_values,
)
from collector.observation import Observation, Series, failure_of
from wire.records import (
    Direction,
    FloorValues,
    LineCounters,
    Outcome,
    Spread,
    StampValues,
    Verdict,
)

_m = measurements.alias("m")
_names = {
    part: names.alias(f"{part}_name") for part in ("probe", "outcome", "failure", "verdict", "counters")
}


def newest(path: Path) -> Iterator[Observation]:
    """For every series: its newest measurement, its newest with values, its newest floor decision.

    The same measurement may come more than once, in no order. Raises LedgerError where the file
    cannot be read.
    """
    engine = connect(path, writing=False)
    try:
        with engine.begin() as connection:
            for condition in (_any(), _with_values(), _decisive()):
                for row in connection.execute(_query(condition)):
                    yield _observation(row)
    except SQLAlchemyError as error:
        raise LedgerError(f"ledger {path}: {explain(error)}") from None
    finally:
        engine.dispose()


def _newest_key(*conditions: Any) -> Select[tuple[int]]:
    return (
        select(measurements.c.key)
        .where(measurements.c.series_key == series.c.key, measurements.c.ahead.is_(False), *conditions)
        .order_by(measurements.c.time_us.desc(), measurements.c.key.desc())
        .limit(1)
        .correlate(series)
    )


def _any() -> Select[tuple[int]]:
    return _newest_key()


def _with_values() -> Select[tuple[int]]:
    """Newest of outcome ``ok``: only those have values that may be judged by."""
    return _newest_key(measurements.c.outcome_key == _name_key(Outcome.OK))


def _decisive() -> Select[tuple[int]]:
    verdict = (
        select(floor_values.c.measurement_key)
        .where(
            floor_values.c.measurement_key == measurements.c.key,
            floor_values.c.verdict_key.in_([_name_key(Verdict.PASS), _name_key(Verdict.FAIL)]),
        )
        .exists()
    )
    return _newest_key(measurements.c.outcome_key == _name_key(Outcome.OK), verdict)


def _name_key(word: str) -> Any:
    return select(names.c.key).where(names.c.name == word).scalar_subquery()


def _query(newest_key: Select[tuple[int]]) -> Select[Any]:
    tables = (
        series.join(_m, _m.c.key == newest_key.scalar_subquery())
        .join(sites, sites.c.key == series.c.site_key)
        .join(batches, batches.c.key == _m.c.batch_key)
        .outerjoin(floor_values, floor_values.c.measurement_key == _m.c.key)
        .outerjoin(stamp_values, stamp_values.c.measurement_key == _m.c.key)
    )
    for part, key in (
        ("probe", series.c.probe_key),
        ("outcome", _m.c.outcome_key),
        ("failure", _m.c.failure_key),
        ("verdict", floor_values.c.verdict_key),
        ("counters", floor_values.c.line_counters_key),
    ):
        tables = tables.outerjoin(_names[part], and_(_names[part].c.key == key))
    words = [alias.c.name.label(part) for part, alias in _names.items()]
    columns = [_m.c.key, _m.c.time_us, _m.c.interval_us, _m.c.bytes_sent, _m.c.bytes_received]
    floor = [floor_values.c[name].label(f"floor_{name}") for name in _FLOOR]
    stamp = [column.label(f"stamp_{column.name}") for column in stamp_values.c]
    place = [series.c.direction, series.c.dscp, sites.c.site_id, batches.c.received_us]
    return select(*columns, *place, *words, *floor, *stamp).select_from(tables)


_FLOOR = ("floor_bps", "at_least_bps", "capacity_bps", "loss_ratio")


def _observation(row: Row[Any]) -> Observation:
    direction = Direction(row.direction) if row.direction else None
    return Observation(
        series=Series(row.site_id, row.probe, direction, row.dscp),
        time_us=row.time_us,
        order=row.key,
        received_us=row.received_us,
        interval_us=row.interval_us,
        outcome=Outcome(row.outcome),
        failure=failure_of(row.failure),
        values=_values(row),
        bytes_sent=row.bytes_sent,
        bytes_received=row.bytes_received,
    )


def _values(row: Row[Any]) -> FloorValues | StampValues | None:
    if row.verdict is not None:
        return FloorValues(
            verdict=Verdict(row.verdict),
            line_counters=LineCounters(row.counters),
            tests=(),
            **{name: row._mapping[f"floor_{name}"] for name in _FLOOR},
        )
    return _stamp(row) if row.stamp_measurement_key is not None else None


_SPREADS = ("rtt", "variation_forward", "variation_return", "delay_forward", "delay_return")
_PARTS = ("min_us", "p50_us", "p95_us", "p99_us")
_PLAIN = tuple(
    column.name
    for column in stamp_values.c
    if column.name != "measurement_key" and not column.name.startswith(tuple(f"{name}_" for name in _SPREADS))
)


def _stamp(row: Row[Any]) -> StampValues:
    found = row._mapping
    values: dict[str, Any] = {name: found[f"stamp_{name}"] for name in _PLAIN}
    values |= {name: _spread(found, name) for name in _SPREADS}
    return StampValues(**values)


def _spread(found: Any, name: str) -> Spread | None:
    parts = {part: found[f"stamp_{name}_{part}"] for part in _PARTS}
    return None if parts["min_us"] is None else Spread(**parts)
