"""Comparison of the agent's and the peer's record of each test, inside the writer's transaction."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select

from collector.ledger.keys import RowKeys
from collector.ledger.schema import tables as schema
from collector.ledger.schema.layout import NameKey, Row
from collector.ledger.schema.tables import PEER_TEST
from collector.ledger.schema.values import VALUES
from collector.ledger.transaction import LedgerTransaction
from collector.model.message import PeerBatch
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

_COMPARISONS, _TESTS = schema.peer_comparisons, schema.peer_tests
_PORTION = 2000

COMPLETED = "completed"
"""Outcome of a load that ran to its end (``ServerOutcome``). If the agent ends a load itself, as after a
pre-drain or for the site's sake, its record covers a part of it."""
WATCHDOG = "watchdog"
"""Outcome of a load whose stop was lost: the peer continued to send, ever slower, for seconds."""


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
_FIND = select(_COMPARISONS).where(_same(_COMPARISONS))
# A session id without a test port, as ends of an earlier version write it, and those that add one.
_FIND_OTHER = (
    select(_COMPARISONS)
    .where(
        _COMPARISONS.c.peer_key == bindparam("peer_key"),
        _COMPARISONS.c.session.between(bindparam("low"), bindparam("high")),
        _COMPARISONS.c.direction == bindparam("direction"),
    )
    .limit(2)
)
_SHORT = len("00000000-0000")
_AMBIGUOUS = Comparison(ComparisonResult.AMBIGUOUS, None)
_TEST = (
    select(_TESTS, schema.names.c.name.label("outcome"))
    .join(schema.names, schema.names.c.key == _TESTS.c.outcome_key)
    .where(_TESTS.c.key == bindparam("test_key"))
)
_f, _c = VALUES["floor"].parts["tests"].table, VALUES["capacity"].table
_FLOOR = select(_f).where(_f.c.measurement_key == bindparam("of"), _f.c.ordinal == bindparam("nth"))
_CAPACITY = select(_c).where(_c.c.measurement_key == bindparam("of"))


@dataclass(frozen=True, slots=True)
class LoadTestRecord:
    """Agent's or peer's record of one test: its identity, and its columns in ``peer_comparisons``."""

    peer: str
    session: str
    direction: Direction
    time_us: int
    columns: dict[str, int | None]


def of_agent(record: Record, measurement_key: int, site_key: int, time_us: int) -> list[LoadTestRecord]:
    """Tests of which a measurement has figures, each with a session of its own."""
    if record.direction is None:
        return []
    sessions: list[tuple[str, int | None]] = []
    if isinstance(record, FloorMeasurement) and record.values is not None:
        sessions = [(test.session, ordinal) for ordinal, test in enumerate(record.values.tests)]
    elif isinstance(record, CapacityMeasurement) and record.values is not None and record.session:
        sessions = [(record.session, None)]
    where: dict[str, int | None] = {"site_key": site_key, "measurement_key": measurement_key}
    return [
        LoadTestRecord(record.peer, session, record.direction, time_us, where | {"ordinal": ordinal})
        for session, ordinal in sessions
    ]


def of_peer(peer: str, test: PeerTest, peer_test_key: int, time_us: int) -> list[LoadTestRecord]:
    """The peer's test, unless it never began; ``time_us`` is its begin by a corrected clock."""
    if not has_load(test):
        return []
    columns: dict[str, int | None] = {"peer_test_key": peer_test_key}
    return [LoadTestRecord(peer, test.session, test.direction, time_us, columns)]


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
class PeerComparisons:
    """Peer comparisons of one transaction, after the rows of both kinds were written."""

    transaction: LedgerTransaction
    keys: RowKeys
    seen_us: int
    compared: list[ComparedTest] = field(default_factory=list)

    def add(self, records: Iterable[LoadTestRecord]) -> list[ComparedTest]:
        """Add records; returns the tests of which both records are now known."""
        for one in records:
            self._take(one)
        return self.compared

    def _take(self, one: LoadTestRecord) -> None:
        identity = {
            "peer_key": self.keys.name(self.transaction, one.peer),
            "session": one.session,
            "direction": one.direction.value,
        }
        column = "peer_test_key" if "peer_test_key" in one.columns else "measurement_key"
        row = self._find(identity, column)
        if row is None:
            self._insert(one, identity)
        elif row._mapping[column] is None:
            self._complete(one, row)
        elif column == "measurement_key" and row.site_key != one.columns["site_key"]:
            self._claim_again(one, identity, row)
        # Else it is the same session of the same sender again: what came first stays.

    def _find(self, identity: Row, column: str) -> Any:
        """Row of a test: under its session id, or under the one that another version of an end gives it."""
        row = self.transaction.execute(_FIND, identity).one_or_none()
        if row is not None:
            return row
        session = str(identity["session"])
        short = session[:_SHORT]
        others = (
            {"low": f"{short}-", "high": f"{short}."} if session == short else {"low": short, "high": short}
        )
        found = self.transaction.execute(
            _FIND_OTHER.where(_COMPARISONS.c[column].is_(None)), identity | others
        )
        rows = found.all()
        return rows[0] if len(rows) == 1 else None

    def _insert(self, one: LoadTestRecord, identity: Row, **more: str) -> None:
        fresh: Row = {"seen_us": self.seen_us, "time_us": one.time_us}
        self.transaction.insert_one(_COMPARISONS, identity | fresh | one.columns | more)

    def _claim_again(self, one: LoadTestRecord, identity: Row, row: Any) -> None:
        """Keep a second site's claim on a test beside the first one, and compare neither."""
        beside = identity | {"session": f"{identity['session']}~{one.columns['site_key']}"}
        if self.transaction.execute(_FIND, beside).one_or_none() is not None:
            return
        self._insert(one, beside, result=ComparisonResult.AMBIGUOUS.value)
        self._report(one, one.columns["site_key"], one.time_us, _AMBIGUOUS)
        if row.result != ComparisonResult.AMBIGUOUS.value:
            result = {"result": ComparisonResult.AMBIGUOUS.value, "difference": None}
            _write(self.transaction, row.key, result)
            self._report(one, row.site_key, row.time_us, _AMBIGUOUS)

    def _complete(self, one: LoadTestRecord, row: Any) -> None:
        """Compare a test with its second record, unless several sites claim it."""
        if row.result == ComparisonResult.AMBIGUOUS.value:
            _write(self.transaction, row.key, one.columns)
            return
        found = dict(row._mapping) | one.columns
        comparison = self._compare(found)
        result = {"result": comparison.result.value, "difference": comparison.difference}
        _write(self.transaction, row.key, one.columns | result)
        self._report(one, found["site_key"], found["time_us"], comparison)

    def _report(
        self, one: LoadTestRecord, site_key: int | None, time_us: int, comparison: Comparison
    ) -> None:
        site = None if site_key is None else self._site(site_key)
        self.compared.append(
            ComparedTest(one.peer, site, one.direction, time_us, comparison.result, comparison.difference)
        )

    def _compare(self, found: Any) -> Comparison:
        # A row has the figures of a PeerTest under the same names.
        test: Any = self.transaction.execute(_TEST, {"test_key": found["peer_test_key"]}).one()
        claim = self._claim(found["measurement_key"], found["ordinal"])
        if test.outcome != COMPLETED:
            claim = AgentFigures(None if test.outcome == WATCHDOG else claim.sent_bps, None)
        return compare(claim, test)

    def _claim(self, measurement_key: int, ordinal: int | None) -> AgentFigures:
        if ordinal is None:
            search = self.transaction.execute(_CAPACITY, {"of": measurement_key}).one()
            return AgentFigures(search.sent_bps, search.received_bps)
        row = self.transaction.execute(_FLOOR, {"of": measurement_key, "nth": ordinal}).one()
        return AgentFigures(
            row.sent_bps, row.received_bps, row.duration_us, row.sent_packets, row.received_packets
        )

    def _site(self, site_key: int) -> str:
        query = select(schema.sites.c.site_id).where(schema.sites.c.key == site_key)
        site: str = self.transaction.execute(query).scalar_one()
        return site


def give_up(transaction: LedgerTransaction, before_us: int) -> list[ComparedTest]:
    """Close some comparisons whose only record has been there since before ``before_us``.

    A second record that arrives later still replaces the result.
    """
    open_ones = (
        select(_COMPARISONS, schema.names.c.name.label("peer"), schema.sites.c.site_id)
        .join(schema.names, schema.names.c.key == _COMPARISONS.c.peer_key)
        .outerjoin(schema.sites, schema.sites.c.key == _COMPARISONS.c.site_key)
        .where(_COMPARISONS.c.result.is_(None), _COMPARISONS.c.seen_us < before_us)
        .limit(_PORTION)
    )
    closed = []
    for row in transaction.execute(open_ones).all():
        result = ComparisonResult.AGENT_ONLY if row.peer_test_key is None else ComparisonResult.PEER_ONLY
        _write(transaction, row.key, {"result": result.value})
        closed.append(
            ComparedTest(row.peer, row.site_id, Direction(row.direction), row.time_us, result, None)
        )
    return closed


def _write(transaction: LedgerTransaction, key: int, values: Row) -> None:
    transaction.change(_COMPARISONS, [key], lambda _: dict(values))
