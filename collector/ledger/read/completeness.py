"""Reading the ledger: what it holds of each site and epoch, and what it lacks.

One transaction an answer, so that figures fit together while the collector writes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, TextClause, func, select, text

from collector.ledger.read.terms import reading
from collector.ledger.schema.tables import measurements, sites
from collector.model.completeness import (
    MISSING_AFTER_US,
    EpochCompleteness,
    MissingRun,
    SiteCompleteness,
    SiteEpochs,
)
from wire.messages.envelope import EpochRange

PORTION = 500  # rows fetched at a time
MAX_EPOCHS = 100  # shown of one site
MAX_RUNS = 10  # shown of one epoch
PAGE = 10_000  # batches
MAX_ASKED = 500  # runs of one epoch
MAX_SEARCHED = 20  # epochs of one site that are searched for runs

# What a site says of its epochs is added up as no integer: a thousand of the longest are more than 64 bits
# hold, and the sum would fail for every site.
_SITES = text("""
SELECT e.site_key, s.site_id, sum(e.committed) AS committed, sum(e.conflicts) AS conflicts,
  sum(1.0 * (e.high_water - e.committed - e.declared)) AS lacking
FROM epochs e JOIN sites s ON s.key = e.site_key GROUP BY e.site_key, s.site_id
""")

# Declared lost and not come all the same.
_DECLARED = text("""
SELECT e.site_key, n.name AS reason, sum(1.0 * (g.last - g.first + 1 - (
  SELECT count(*) FROM measurements m
  WHERE m.epoch_key = g.epoch_key AND m.seq BETWEEN g.first AND g.last))) AS lost
FROM gaps g JOIN epochs e ON e.key = g.epoch_key JOIN names n ON n.key = g.reason_key
GROUP BY e.site_key, n.name
""")

# Of epochs that continue the same one all but one are too many; so is one that continues it from before where
# that had come: of a cloned card the original may not have begun another epoch yet.
_FORKS = text("""
SELECT site_key, sum(CASE WHEN followers > 1 THEN followers - 1 ELSE behind END) AS forks FROM (
  SELECT f.site_key, count(*) AS followers,
    max(CASE WHEN f.previous_last < p.high_water THEN 1 ELSE 0 END) AS behind
  FROM epochs f JOIN epochs p ON p.site_key = f.site_key AND p.epoch = f.previous
  GROUP BY f.site_key, f.previous
) AS followed WHERE followers > 1 OR behind = 1 GROUP BY site_key
""")

# Epochs of sites that lack something. ``aged`` is the highest sequence number that had come by measurement
# ``:newest``, the rest is what came or was declared beyond it. (``key + 0``: the search must go down the
# index of identities, which passes what came lately and ends, not up the table.)
_EPOCHS = """
SELECT e.*,
  (SELECT count(*) FROM measurements m WHERE m.epoch_key = e.key AND m.seq > e.aged) AS came_beyond,
  (SELECT coalesce(sum(g.last - CASE WHEN g.first > e.aged THEN g.first ELSE e.aged + 1 END + 1 - (
     SELECT count(*) FROM measurements m
     WHERE m.epoch_key = e.key AND m.seq > e.aged AND m.seq BETWEEN g.first AND g.last)), 0)
   FROM gaps g WHERE g.epoch_key = e.key AND g.last > e.aged) AS declared_beyond
FROM (
  SELECT o.*, coalesce((
    SELECT m.seq FROM measurements m WHERE m.epoch_key = o.key AND m.key + 0 <= :newest
    ORDER BY m.seq DESC LIMIT 1), 0) AS aged
  FROM epochs o WHERE {condition}
) AS e ORDER BY e.site_key
"""
_OF_LACKING_SITES = text(
    _EPOCHS.format(
        condition="o.site_key IN (SELECT site_key FROM epochs WHERE high_water > committed + declared)"
    )
)
_OF_ONE_SITE = text(_EPOCHS.format(condition="o.site_key = :site_key"))

# What neither a measurement nor a gap covers, in order.
_RUNS = text("""
SELECT before + 1 AS first, first - 1 AS last FROM (
  SELECT first, max(last) OVER (ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (
    SELECT 0 AS first, 0 AS last
    UNION ALL SELECT seq, seq FROM measurements WHERE epoch_key = :epoch_key
    UNION ALL SELECT first, last FROM gaps WHERE epoch_key = :epoch_key
    UNION ALL SELECT high_water + 1, high_water + 1 FROM epochs WHERE key = :epoch_key
  ) AS covered
) AS covering WHERE first > before + 1 ORDER BY first LIMIT :most
""")

# The lowest batch received in a period, of a page of batches below a key; and the lowest of the page.
_RECENT = text("""
SELECT min(CASE WHEN received_us > :before AND received_us <= :now THEN key END) AS recent, min(key) AS lowest
FROM (SELECT key, received_us FROM batches WHERE key < :below ORDER BY key DESC LIMIT :most) AS page
""")

_LACKING = text("""
SELECT e.key, e.epoch FROM epochs e JOIN sites s ON s.key = e.site_key
WHERE s.site_id = :site_id AND e.high_water > e.committed + e.declared ORDER BY e.key DESC
""")

_BEFORE = text(
    "SELECT time_us FROM measurements WHERE epoch_key = :e AND seq < :seq ORDER BY seq DESC LIMIT 1"
)
_AFTER = text("SELECT time_us FROM measurements WHERE epoch_key = :e AND seq > :seq ORDER BY seq LIMIT 1")


def of_sites(path: Path, now_us: int) -> list[SiteCompleteness]:
    """Every site of which the ledger knows a journal epoch. Raises LedgerError where it cannot be read."""
    with reading(path) as connection:
        return holdings(connection, now_us)


def holdings(connection: Connection, now_us: int) -> list[SiteCompleteness]:
    """The same over an open connection."""
    pending = _pending(connection, now_us)
    declared: dict[int, dict[str, int]] = defaultdict(dict)
    for row in connection.execute(_DECLARED):
        if row.lost:
            declared[row.site_key][row.reason] = int(row.lost)
    forks = {row.site_key: row.forks for row in connection.execute(_FORKS)}
    return [
        SiteCompleteness(
            row.site_id,
            row.committed,
            missing=max(0, int(row.lacking) - pending.get(row.site_key, 0)),
            pending=pending.get(row.site_key, 0),
            declared=declared.get(row.site_key, {}),
            conflicts=row.conflicts,
            forks=forks.get(row.site_key, 0),
        )
        for row in _stream(connection, _SITES)
    ]


def of_site(path: Path, site_id: str, now_us: int) -> SiteEpochs | None:
    """One site's epochs, or None for a site of which nothing came. Raises LedgerError."""
    with reading(path) as connection:
        site_key = connection.execute(select(sites.c.key).where(sites.c.site_id == site_id)).scalar()
        if site_key is None:
            return None
        newest = key_before(connection, now_us - MISSING_AFTER_US)
        rows = connection.execute(_OF_ONE_SITE, {"site_key": site_key, "newest": newest}).all()
        followed = _followed(rows)
        chosen = sorted(rows, key=_troubled_and_newest_first)[:MAX_EPOCHS]
        epochs = [_epoch(connection, row, rows, followed, place) for place, row in enumerate(chosen)]
        return SiteEpochs(site_id, tuple(epochs), len(rows))


def lacking(path: Path, site_ids: Iterable[str], most: int) -> dict[str, tuple[EpochRange, ...]]:
    """Numbers of each site that are neither committed nor declared, of newest epochs first, ``most`` runs.

    Raises LedgerError where the ledger cannot be read.
    """
    with reading(path) as connection:
        return {site_id: tuple(islice(_lacking(connection, site_id), most)) for site_id in site_ids}


def _lacking(connection: Connection, site_id: str) -> Iterator[EpochRange]:
    for epoch in connection.execute(_LACKING, {"site_id": site_id}).all():
        for run in connection.execute(_RUNS, {"epoch_key": epoch.key, "most": MAX_ASKED}):
            yield EpochRange(epoch=epoch.epoch, first=run.first, last=run.last)


def key_before(connection: Connection, before_us: int) -> int:
    """Key of the last measurement that came before all that was received in the hour after ``before_us``.

    0 for none. Keys grow in the order of commits. Arrivals need not: the collector's clock may have been
    wrong. So the newest batches are read until there are thousands without one of that hour.
    """
    first: int | None = None
    below: int | None = 2**63 - 1
    while below is not None:
        page = {"below": below, "before": before_us, "now": before_us + MISSING_AFTER_US, "most": PAGE}
        row = connection.execute(_RECENT, page).one()
        first, below = row.recent or first, row.lowest if row.recent else None
    if first is None:
        return connection.execute(select(func.max(measurements.c.key))).scalar() or 0
    return _key_before_batch(connection, first)


def _key_before_batch(connection: Connection, batch_key: int) -> int:
    """Key of the last measurement of an earlier batch, found by halving: no index has the batches."""
    batch_of = select(measurements.c.key, measurements.c.batch_key).order_by(measurements.c.key).limit(1)
    low, high = 0, connection.execute(select(func.max(measurements.c.key))).scalar() or 0
    while low < high:
        middle = (low + high + 1) // 2
        row = connection.execute(batch_of.where(measurements.c.key >= middle)).first()
        if row is not None and row.batch_key < batch_key:
            low = max(middle, row.key)
        else:
            high = middle - 1
    return low


def _pending(connection: Connection, now_us: int) -> dict[int, int]:
    """By site: what is not here, but may still come."""
    newest = key_before(connection, now_us - MISSING_AFTER_US)
    epochs = _stream(connection, _OF_LACKING_SITES, {"newest": newest})
    found: dict[int, int] = {}
    for site_key, rows in groupby(epochs, key=attrgetter("site_key")):
        of_site = list(rows)
        followed = _followed(of_site)
        found[site_key] = sum(_still_coming(row, followed) for row in of_site)
    return found


def _stream(
    connection: Connection, query: TextClause, bounds: Mapping[str, int] | None = None
) -> Iterator[Row[Any]]:
    """Row by row: of 60,000 sites a million rows at a time would hold up every other thread."""
    return iter(connection.execute(query.execution_options(yield_per=PORTION), bounds or {}))


def _still_coming(row: Row[Any], followed: set[str]) -> int:
    """Number of records beyond ``aged`` that may still arrive; 0 if a later epoch has aged records."""
    if row.epoch in followed:
        return 0
    return int(row.high_water - row.aged - row.came_beyond - row.declared_beyond)


def _followed(rows: Sequence[Row[Any]]) -> set[str]:
    """Epochs of one site that precede an epoch with aged records."""
    previous: Mapping[str, str | None] = {row.epoch: row.previous for row in rows}
    followed: set[str] = set()
    for row in rows:
        before = row.previous if row.aged else None
        while before is not None and before not in followed:
            followed.add(before)
            before = previous.get(before)
    return followed


def _troubled_and_newest_first(row: Row[Any]) -> tuple[bool, int]:
    whole = row.high_water == row.committed and not row.conflicts
    return whole, -row.key


def _epoch(
    connection: Connection, row: Row[Any], rows: Sequence[Row[Any]], followed: set[str], place: int
) -> EpochCompleteness:
    lacking = row.high_water - row.committed - row.declared
    pending = _still_coming(row, followed)
    runs = _runs(connection, row.key) if lacking and place < MAX_SEARCHED else []
    beside = sum(other.previous == row.previous for other in rows) - 1 if row.previous else 0
    come = max((other.high_water for other in rows if other.epoch == row.previous), default=0)
    return EpochCompleteness(
        epoch=row.epoch,
        previous=row.previous,
        high_water=row.high_water,
        committed=row.committed,
        missing=lacking - pending,
        pending=pending,
        declared=row.declared,
        conflicts=row.conflicts,
        forks=beside,
        is_behind=row.previous_last is not None and row.previous_last < come,
        begin_us=connection.execute(_AFTER, {"e": row.key, "seq": 0}).scalar(),
        end_us=connection.execute(_BEFORE, {"e": row.key, "seq": row.high_water + 1}).scalar(),
        runs=tuple(runs[:MAX_RUNS]),
        more_runs=len(runs) > MAX_RUNS or (bool(lacking) and place >= MAX_SEARCHED),
    )


def _runs(connection: Connection, epoch_key: int) -> list[MissingRun]:
    found = connection.execute(_RUNS, {"epoch_key": epoch_key, "most": MAX_RUNS + 1}).all()
    return [
        MissingRun(
            row.first,
            row.last,
            connection.execute(_BEFORE, {"e": epoch_key, "seq": row.first}).scalar(),
            connection.execute(_AFTER, {"e": epoch_key, "seq": row.last}).scalar(),
        )
        for row in found
    ]
