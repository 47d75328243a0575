"""Tables of the peers' records of load tests, and of their comparison with the agents' records."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

from collector.ledger.schema.columns import key, metadata
from collector.ledger.schema.layout import Layout
from wire.messages.peer_tests import PeerTest

PEER_TEST = Layout(PeerTest, apart=frozenset({"epoch", "seq", "session", "direction", "outcome", "start"}))

# A second content under one identity stands beside the first.
peer_tests = Table(
    "peer_tests",
    metadata,
    key(),
    Column("peer_key", BigInteger, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("program_key", BigInteger, nullable=False),
    Column("boot_us", BigInteger, nullable=False),
    Column("boot_key", BigInteger, nullable=False),
    Column("synchronised", Boolean, nullable=False),
    Column("max_error_us", BigInteger),
    Column("outcome_key", BigInteger, nullable=False),
    *PEER_TEST.columns(),
    UniqueConstraint("peer_key", "epoch", "seq", "digest"),
)
# Finds the newest test of a peer, which may be silent while others send thousands of tests an hour.
Index("peer_tests_of_peer", peer_tests.c.peer_key, peer_tests.c.start_us)

# What a peer declared lost for good.
peer_gaps = Table(
    "peer_gaps",
    metadata,
    key(),
    Column("peer_key", BigInteger, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("reason_key", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("peer_key", "epoch", "first", "last"),
)

# One row for each test with one record or both. ``result`` is NULL while the second record may still arrive.
peer_comparisons = Table(
    "peer_comparisons",
    metadata,
    key(),
    Column("peer_key", BigInteger, nullable=False),
    Column("session", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("site_key", BigInteger),
    Column("measurement_key", BigInteger),
    Column("ordinal", SmallInteger),
    Column("peer_test_key", BigInteger),
    Column("result", Text),
    Column("difference", Float),
    UniqueConstraint("peer_key", "session", "direction"),
)
Index(
    "peer_comparisons_open",
    peer_comparisons.c.seen_us,
    sqlite_where=peer_comparisons.c.result.is_(None),
    postgresql_where=peer_comparisons.c.result.is_(None),
)
Index(
    "peer_comparisons_disagreeing",
    peer_comparisons.c.site_key,
    peer_comparisons.c.time_us,
    sqlite_where=peer_comparisons.c.result == "disagree",
    postgresql_where=peer_comparisons.c.result == "disagree",
)
