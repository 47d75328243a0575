"""What each probe measured: one row of values a measurement, and rows of its parts."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    false,
)

from collector.ledger.schema.columns import key, metadata, spread

floor_values = Table(
    "floor_values",
    metadata,
    key("measurement_key"),
    Column("verdict_key", BigInteger, nullable=False),
    Column("floor_bps", Float, nullable=False),
    Column("line_counters_key", BigInteger, nullable=False),
    Column("at_least_bps", Float, nullable=False),
    Column("capacity_bps", Float),
    Column("loss_ratio", Float),
    Column("layer_key", BigInteger),
    Column("contract_bps", Float),
    Column("standing_key", BigInteger),
    Column("evidence", Float),
    Column("search_bps", Float),
    Column("quiet", Boolean, nullable=False, server_default=false()),
    Column("passive_us", BigInteger),
)

floor_tests = Table(
    "floor_tests",
    metadata,
    key("measurement_key"),
    Column("ordinal", SmallInteger, primary_key=True),
    Column("session", Text, nullable=False),
    Column("planned_bps", Float, nullable=False),
    Column("finding_key", BigInteger, nullable=False),
    Column("sent_bps", Float, nullable=False),
    Column("received_bps", Float, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("sent_packets", BigInteger, nullable=False),
    Column("received_packets", BigInteger, nullable=False),
    Column("loss_ratio", Float, nullable=False),
    Column("slope", Float, nullable=False),
    Column("queue_growth_us", BigInteger, nullable=False),
    Column("stall_ratio", Float, nullable=False),
    Column("capacity_bps", Float),
    Column("other_traffic_bps", Float),
    Column("other_most_bps", Float),
    Column("rtt_min_us", BigInteger),
    Column("failure_key", BigInteger),
    Column("predrain_bytes", BigInteger, nullable=False, server_default="0"),
    Column("ended_early", Boolean, nullable=False, server_default=false()),
    sqlite_with_rowid=False,
)

# A floor test's raw series, where the verdict was not a pass: the JSON of ``LoadSample`` rows, compressed.
floor_series = Table(
    "floor_series",
    metadata,
    key("measurement_key"),
    Column("ordinal", SmallInteger, primary_key=True),
    Column("zlib", LargeBinary, nullable=False),
)

# Round-trip time during a floor test or a search, beside that of the idle line just before.
latency_under_load = Table(
    "latency_under_load",
    metadata,
    key("measurement_key"),
    Column("load_bps", Float, nullable=False),
    *spread("idle"),
    *spread("loaded"),
    Column("loss_ratio", Float),
)

capacity_values = Table(
    "capacity_values",
    metadata,
    key("measurement_key"),
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

capacity_intervals = Table(
    "capacity_intervals",
    metadata,
    key("measurement_key"),
    Column("ordinal", SmallInteger, primary_key=True),
    Column("offset_us", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("received_bps", Float, nullable=False),
    Column("loss_ratio", Float, nullable=False),
    Column("delay_variation_us", BigInteger),
    sqlite_with_rowid=False,
)


def _flow(direction: str) -> list[Column[Any]]:
    return [
        Column(f"{direction}_ip_bytes", BigInteger, nullable=False),
        Column(f"{direction}_packets", BigInteger, nullable=False),
        Column(f"{direction}_mean_bps", Float, nullable=False),
        Column(f"{direction}_peak_bps", Float, nullable=False),
        Column(f"{direction}_errors", BigInteger),
        Column(f"{direction}_drops", BigInteger),
    ]


interface_values = Table(
    "interface_values",
    metadata,
    key("measurement_key"),
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

path_values = Table(
    "path_values",
    metadata,
    key("measurement_key"),
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

path_hops = Table(
    "path_hops",
    metadata,
    key("measurement_key"),
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

stamp_values = Table(
    "stamp_values",
    metadata,
    key("measurement_key"),
    Column("sent", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("timeout_us", BigInteger, nullable=False),
    Column("loss_ratio", Float, nullable=False),
    Column("loss_forward_ratio", Float),
    Column("loss_return_ratio", Float),
    *spread("rtt"),
    *spread("variation_forward"),
    *spread("variation_return"),
    *spread("delay_forward"),
    *spread("delay_return"),
    Column("reordered_forward", BigInteger, nullable=False),
    Column("reordered_return", BigInteger, nullable=False),
    Column("duplicated", BigInteger, nullable=False),
    Column("forward_dscp", SmallInteger),
    Column("reply_dscp", SmallInteger),
    Column("wished_dscp", SmallInteger),
    Column("reply_refused", Boolean, nullable=False, server_default=false()),
    Column("authenticated", Boolean, nullable=False),
    Column("kernel_stamps", Boolean, nullable=False),
)


def _moment(name: str, *, nullable: bool) -> list[Column[Any]]:
    """The columns of a ``wire.records.ClockReading``."""
    return [
        Column(f"{name}_wall_us", BigInteger, nullable=nullable),
        Column(f"{name}_boot_us", BigInteger, nullable=nullable),
        Column(f"{name}_boot_id", Text, nullable=nullable),
        Column(f"{name}_synchronised", Boolean, nullable=nullable),
        Column(f"{name}_max_error_us", BigInteger),
    ]


reachability_values = Table(
    "reachability_values",
    metadata,
    key("measurement_key"),
    Column("outage", Text, nullable=False),
    Column("cause_key", BigInteger, nullable=False),
    *_moment("begin", nullable=False),
    Column("begin_error_us", BigInteger, nullable=False),
    *_moment("end", nullable=True),
    Column("end_error_us", BigInteger),
    Column("gateway", Boolean),
    Column("first_hop", Boolean),
    Column("peer", Boolean),
    Column("broker", Boolean),
    Column("collector", Boolean),
)

clock_values = Table(
    "clock_values",
    metadata,
    key("measurement_key"),
    Column("change_key", BigInteger, nullable=False),
    Column("offset_us", BigInteger, nullable=False),
    Column("before_us", BigInteger),
    Column("peer_offset_us", BigInteger),
    Column("peer_error_us", BigInteger),
    Column("peer_boot_us", BigInteger),
)

# Values of a probe that this version does not know, whole, for the version that does.
unknown_values = Table(
    "unknown_values", metadata, key("measurement_key"), Column("json", LargeBinary, nullable=False)
)
