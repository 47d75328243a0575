"""Schema 1 to 2: capacity, interface and path, standings, classes of service, host load, and the peers' side.

As the tables were then; what they are now stands in ``collector.ledger.schema``. Only new tables and new
columns: the time it takes does not grow with the ledger.
"""

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    UniqueConstraint,
    column,
    false,
)

_KEY = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Bring the ledger to schema 2, inside the caller's transaction."""
    _add_columns()
    _create_tables_of_load()
    _create_tables_of_the_line()
    _create_tables_of_sides()


def _add_columns() -> None:
    added: dict[str, list[Column[Any]]] = {
        "measurements": [Column("host_busy_ratio", Float), Column("host_load_1min", Float)],
        "floor_values": [
            Column("layer_key", BigInteger),
            Column("contract_bps", Float),
            Column("standing_key", BigInteger),
            Column("evidence", Float),
            Column("search_bps", Float),
            Column("quiet", Boolean, nullable=False, server_default=false()),
            Column("passive_us", BigInteger),
        ],
        "floor_tests": [
            Column("other_most_bps", Float),
            Column("failure_key", BigInteger),
            Column("predrain_bytes", BigInteger, nullable=False, server_default="0"),
            Column("ended_early", Boolean, nullable=False, server_default=false()),
        ],
        "stamp_values": [
            Column("forward_dscp", SmallInteger),
            Column("wished_dscp", SmallInteger),
            Column("reply_refused", Boolean, nullable=False, server_default=false()),
        ],
    }
    for table, columns in added.items():
        for one in columns:
            op.add_column(table, one)


def _create_tables_of_load() -> None:
    op.create_table(
        "floor_series",
        _key("measurement_key"),
        Column("ordinal", SmallInteger, primary_key=True),
        Column("zlib", LargeBinary, nullable=False),
    )
    op.create_table(
        "latency_under_load",
        _key("measurement_key"),
        Column("load_bps", Float, nullable=False),
        *_spread("idle"),
        *_spread("loaded"),
        Column("loss_ratio", Float),
    )
    op.create_table(
        "capacity_values",
        _key("measurement_key"),
        Column("maximum_bps", Float, nullable=False),
        Column("maximum_at_us", BigInteger, nullable=False),
        Column("maximum_loss_ratio", Float, nullable=False),
        Column("interval_us", BigInteger, nullable=False),
        Column("received_bps", Float, nullable=False),
        Column("sent_bps", Float, nullable=False),
        Column("loss_ratio", Float, nullable=False),
        Column("algorithm_key", BigInteger, nullable=False),
        Column("line_counters_key", BigInteger, nullable=False),
        Column("bound_key", BigInteger),
        Column("other_traffic_bps", Float),
        Column("rtt_min_us", BigInteger),
    )
    op.create_table(
        "capacity_intervals",
        _key("measurement_key"),
        Column("ordinal", SmallInteger, primary_key=True),
        Column("offset_us", BigInteger, nullable=False),
        Column("duration_us", BigInteger, nullable=False),
        Column("received_bps", Float, nullable=False),
        Column("loss_ratio", Float, nullable=False),
        Column("delay_variation_us", BigInteger),
        sqlite_with_rowid=False,
    )


def _create_tables_of_the_line() -> None:
    op.create_table(
        "interface_values",
        _key("measurement_key"),
        Column("source_key", BigInteger, nullable=False),
        Column("interface", Text, nullable=False),
        Column("readings", BigInteger, nullable=False),
        Column("reading_us", BigInteger, nullable=False),
        Column("end_boot_us", BigInteger, nullable=False),
        Column("span_us", BigInteger, nullable=False),
        *_flow("down"),
        *_flow("up"),
        Column("resets", BigInteger, nullable=False),
        Column("carrier", Boolean),
        Column("carrier_losses", BigInteger),
        Column("speed_bps", Float),
    )
    op.create_table(
        "path_values",
        _key("measurement_key"),
        Column("reached", Boolean, nullable=False),
        Column("dscp_changed_at", SmallInteger),
        Column("dscp_became", SmallInteger),
        Column("path_mtu_bytes", Integer),
        Column("mtu_limited_at", SmallInteger),
        Column("mtu_limited_by", Text),
        Column("mtu_told_bytes", Integer),
        Column("black_hole", Boolean, nullable=False),
        Column("return_mtu_bytes", Integer),
    )
    op.create_table(
        "path_hops",
        _key("measurement_key"),
        Column("ordinal", SmallInteger, primary_key=True),
        Column("ttl", SmallInteger, nullable=False),
        Column("sent", BigInteger, nullable=False),
        Column("answered", BigInteger, nullable=False),
        Column("address", Text),
        Column("also", Text),  # further addresses, as a JSON list
        Column("rtt_us", BigInteger),
        Column("dscp", SmallInteger),
        sqlite_with_rowid=False,
    )


def _create_tables_of_sides() -> None:
    op.create_table(
        "peer_tests",
        _key(),
        Column("peer_key", BigInteger, nullable=False),
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
        Column("key_id", SmallInteger, nullable=False),
        Column("kind_key", BigInteger, nullable=False),
        Column("outcome_key", BigInteger, nullable=False),
        Column("duration_us", BigInteger, nullable=False),
        Column("row", Integer),
        Column("planned_bps", Float),
        Column("load_us", BigInteger),
        Column("sent_packets", BigInteger),
        Column("sent_bytes", BigInteger),
        Column("received_packets", BigInteger),
        Column("received_bytes", BigInteger),
        Column("lost_packets", BigInteger),
        UniqueConstraint("peer_key", "session", "direction", "start_us", "digest"),
    )
    op.create_index("peer_tests_of_peer", "peer_tests", ["peer_key", "start_us"])
    op.create_table(
        "two_sides",
        _key(),
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
    open_only, disagreeing = column("result").is_(None), column("result") == "disagree"
    op.create_index(
        "two_sides_open", "two_sides", ["seen_us"], sqlite_where=open_only, postgresql_where=open_only
    )
    op.create_index(
        "two_sides_disagreeing",
        "two_sides",
        ["site_key", "time_us"],
        sqlite_where=disagreeing,
        postgresql_where=disagreeing,
    )


def _key(name: str = "key") -> Column[int]:
    return Column(name, _KEY, primary_key=True)


def _spread(name: str) -> list[Column[int]]:
    return [Column(f"{name}_{part}_us", BigInteger) for part in ("min", "p50", "p95", "p99")]


def _flow(direction: str) -> list[Column[Any]]:
    return [
        Column(f"{direction}_ip_bytes", BigInteger, nullable=False),
        Column(f"{direction}_packets", BigInteger, nullable=False),
        Column(f"{direction}_mean_bps", Float, nullable=False),
        Column(f"{direction}_peak_bps", Float, nullable=False),
        Column(f"{direction}_errors", BigInteger),
        Column(f"{direction}_drops", BigInteger),
    ]
