"""Peer comparisons in the ledger, from which live state is rebuilt when the collector starts."""

from sqlalchemy import Connection, bindparam, func, select

from collector.ledger.schema import tables as schema
from collector.model.observation import AHEAD_US
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from wire.records import Direction

_COMPARISONS, _TESTS = schema.peer_comparisons, schema.peer_tests
_NEXT_PEER = select(func.min(_TESTS.c.peer_key)).where(_TESTS.c.peer_key > bindparam("last"))
_NEWEST = (
    select(_TESTS.c.start_us, schema.names.c.name)
    .join(schema.names, schema.names.c.key == _TESTS.c.peer_key)
    .where(_TESTS.c.peer_key == bindparam("peer_key"), _TESTS.c.start_us <= _TESTS.c.received_us + AHEAD_US)
    .order_by(_TESTS.c.start_us.desc())
    .limit(1)
)


def disagreements(connection: Connection) -> list[ComparedTest]:
    """The newest disagreement of every site and direction."""
    query = (
        select(_COMPARISONS, schema.names.c.name.label("peer"), schema.sites.c.site_id)
        .join(schema.names, schema.names.c.key == _COMPARISONS.c.peer_key)
        .join(schema.sites, schema.sites.c.key == _COMPARISONS.c.site_key)
        .where(_COMPARISONS.c.result == ComparisonResult.DISAGREE.value)
        .order_by(_COMPARISONS.c.site_key, _COMPARISONS.c.time_us)
    )
    newest = {(row.site_id, row.direction): row for row in connection.execute(query)}
    return [
        ComparedTest(
            row.peer,
            row.site_id,
            Direction(row.direction),
            row.time_us,
            ComparisonResult.DISAGREE,
            row.difference,
        )
        for row in newest.values()
    ]


def newest_tests(connection: Connection) -> dict[str, int]:
    """Begin of the newest test of each peer, without claims from the future."""
    found: dict[str, int] = {}
    peer_key: int | None = -1
    while (peer_key := connection.execute(_NEXT_PEER, {"last": peer_key}).scalar()) is not None:
        row = connection.execute(_NEWEST, {"peer_key": peer_key}).one_or_none()
        if row is not None:
            found[row.name] = row.start_us
    return found
