"""Joins the two sides of a test in the ledger, whichever comes first, inside the writer's transaction."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from collector.ingest.decode import PeerBatch
from collector.ledger import schema
from collector.ledger.rows.keys import RowKeys
from collector.ledger.schema.layout import NameKey, Row
from collector.ledger.schema.sides import PEER_TEST
from collector.ledger.schema.values import VALUES
from collector.model.peer_comparison import (
    AgentFigures,
    ComparedTest,
    Comparison,
    ComparisonResult,
    compare,
    has_load,
)
from wire.messages.peer_tests import PeerTest
from wire.records import CapacityMeasurement, Direction, FloorMeasurement, Record

_SIDES, _TESTS = schema.two_sides, schema.peer_tests
_PORTION = 2000

COMPLETED = "completed"
"""A load that ran to its end (``ServerOutcome``). Of one that the agent ends itself, as after a
pre-drain or for the site's sake, its record tells a part."""
WATCHDOG = "watchdog"
"""The agent's word to stop was lost: a peer that hears nothing sends on, ever slower, for seconds."""


def _same(table: Any) -> Any:
    return (
        (table.c.peer_key == bindparam("peer_key"))
        & (table.c.session == bindparam("session"))
        & (table.c.direction == bindparam("direction"))
    )


_HELD = (
    select(_TESTS.c.digest)
    .where(
        _TESTS.c.peer_key == bindparam("peer_key"),
        _TESTS.c.epoch == bindparam("epoch"),
        _TESTS.c.seq == bindparam("seq"),
    )
    .order_by(_TESTS.c.key)
)
_FIND = select(_SIDES).where(_same(_SIDES))
_INSERT = _SIDES.insert()
_COMPLETE = update(_SIDES).where(_SIDES.c.key == bindparam("side_key"))
_TEST = (
    select(_TESTS, schema.names.c.name.label("outcome"))
    .join(schema.names, schema.names.c.key == _TESTS.c.outcome_key)
    .where(_TESTS.c.key == bindparam("test_key"))
)
_f, _c = VALUES["floor"].parts["tests"].table, VALUES["capacity"].table
_FLOOR = select(_f).where(_f.c.measurement_key == bindparam("of"), _f.c.ordinal == bindparam("nth"))
_CAPACITY = select(_c).where(_c.c.measurement_key == bindparam("of"))


@dataclass(frozen=True, slots=True)
class Told:
    """One side of a test: where its record stands, and what is to be written into ``two_sides`` of it."""

    peer: str
    session: str
    direction: Direction
    time_us: int
    columns: dict[str, int | None]


def of_agent(record: Record, measurement_key: int, site_key: int, time_us: int) -> list[Told]:
    """The tests of which a measurement holds figures, each with a session of its own."""
    if record.direction is None:
        return []
    sessions: list[tuple[str, int | None]] = []
    if isinstance(record, FloorMeasurement) and record.values is not None:
        sessions = [(test.session, ordinal) for ordinal, test in enumerate(record.values.tests)]
    elif isinstance(record, CapacityMeasurement) and record.values is not None and record.session:
        sessions = [(record.session, None)]
    where: dict[str, int | None] = {"site_key": site_key, "measurement_key": measurement_key}
    return [
        Told(record.peer, session, record.direction, time_us, where | {"ordinal": ordinal})
        for session, ordinal in sessions
    ]


def of_peer(peer: str, test: PeerTest, peer_test_key: int, time_us: int) -> list[Told]:
    """The one test, unless it never began. ``time_us`` is when it did, by a clock that may be believed."""
    if not has_load(test):
        return []
    columns: dict[str, int | None] = {"peer_test_key": peer_test_key}
    return [Told(peer, test.session, test.direction, time_us, columns)]


def held_tests(connection: Connection, peer_key: int, epoch: str, seq: int) -> list[bytes]:
    """The contents that the ledger has under the identity of a peer's test, the first one first."""
    identity = {"peer_key": peer_key, "epoch": epoch, "seq": seq}
    return list(connection.execute(_HELD, identity).scalars())


def peer_row(batch: PeerBatch, test: PeerTest, name_key: NameKey) -> Row:
    """The row of ``peer_tests``, without its keys and digest."""
    return PEER_TEST.row(test, name_key) | {
        "received_us": batch.arrival.received_us,
        "program_key": name_key(batch.envelope.program),
        "epoch": test.epoch,
        "seq": test.seq,
        "session": test.session,
        "direction": test.direction.value,
        "outcome_key": name_key(test.outcome),
        "start_us": test.start.wall_us,
        "boot_us": test.start.boot_us,
        "boot_key": name_key(test.start.boot_id),
        "synchronised": test.start.synchronised,
        "max_error_us": test.start.max_error_us,
    }


@dataclass
class Sides:
    """The joining of one transaction, after the rows of both kinds were written."""

    connection: Connection
    keys: RowKeys
    seen_us: int
    joined: list[ComparedTest] = field(default_factory=list)

    def join(self, told: Iterable[Told]) -> list[ComparedTest]:
        """Take in sides; returns the tests of which both are now known."""
        for one in told:
            self._take(one)
        return self.joined

    def _take(self, one: Told) -> None:
        identity = {
            "peer_key": self.keys.name(self.connection, one.peer),
            "session": one.session,
            "direction": one.direction.value,
        }
        row = self.connection.execute(_FIND, identity).one_or_none()
        if row is None:
            fresh = {"seen_us": self.seen_us, "time_us": one.time_us}
            self.connection.execute(_INSERT, identity | fresh | one.columns)
            return
        side = "peer_test_key" if "peer_test_key" in one.columns else "measurement_key"
        if row._mapping[side] is not None:
            return  # the same session again: what came first stays
        found = dict(row._mapping) | one.columns
        comparison = self._compare(found)
        result = {"result": comparison.result.value, "difference": comparison.difference}
        self.connection.execute(_COMPLETE.values(**one.columns, **result), {"side_key": row.key})
        site = self._site(found["site_key"])
        self.joined.append(
            ComparedTest(
                one.peer, site, one.direction, found["time_us"], comparison.result, comparison.difference
            )
        )

    def _compare(self, found: Any) -> Comparison:
        test = self.connection.execute(_TEST, {"test_key": found["peer_test_key"]}).one()
        claim = self._claim(found["measurement_key"], found["ordinal"])
        if test.outcome != COMPLETED:
            claim = AgentFigures(None if test.outcome == WATCHDOG else claim.sent_bps, None)
        return compare(claim, test)

    def _claim(self, measurement_key: int, ordinal: int | None) -> AgentFigures:
        if ordinal is None:
            search = self.connection.execute(_CAPACITY, {"of": measurement_key}).one()
            return AgentFigures(search.sent_bps, search.received_bps)
        row = self.connection.execute(_FLOOR, {"of": measurement_key, "nth": ordinal}).one()
        return AgentFigures(
            row.sent_bps, row.received_bps, row.duration_us, row.sent_packets, row.received_packets
        )

    def _site(self, site_key: int) -> str:
        query = select(schema.sites.c.site_id).where(schema.sites.c.key == site_key)
        site: str = self.connection.execute(query).scalar_one()
        return site


def give_up(connection: Connection, before_us: int) -> list[ComparedTest]:
    """Settle some of the tests of which one side alone has been known since before ``before_us``.

    A second side that comes later still replaces what is settled here.
    """
    open_ones = (
        select(_SIDES, schema.names.c.name.label("peer"), schema.sites.c.site_id)
        .join(schema.names, schema.names.c.key == _SIDES.c.peer_key)
        .outerjoin(schema.sites, schema.sites.c.key == _SIDES.c.site_key)
        .where(_SIDES.c.result.is_(None), _SIDES.c.seen_us < before_us)
        .limit(_PORTION)
    )
    settled = []
    for row in connection.execute(open_ones).all():
        result = ComparisonResult.AGENT_ONLY if row.peer_test_key is None else ComparisonResult.PEER_ONLY
        connection.execute(_COMPLETE.values(result=result.value), {"side_key": row.key})
        settled.append(
            ComparedTest(row.peer, row.site_id, Direction(row.direction), row.time_us, result, None)
        )
    return settled
