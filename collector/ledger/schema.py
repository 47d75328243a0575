"""The ledger's tables. Typed columns are the evidence; what repeats is a key into a small table.

Times are Unix microseconds of the wall clock unless named ``boot``; rates bit/s at the IP layer; an unknown
value is NULL. Words of closed vocabularies, peers, schedules and boots are keys into ``names``, so that a
row of a year of measurements stays small. ``measurements.key`` grows in the order of commitment.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)

SCHEMA_VERSION = 1

metadata = MetaData()
# SQLite makes only a column of type INTEGER the row's own number; elsewhere it must hold 64 bits.
_Key = BigInteger().with_variant(Integer(), "sqlite")


def _key(name: str = "key") -> Column[int]:
    return Column(name, _Key, primary_key=True)


def _spread(name: str) -> list[Column[int]]:
    return [Column(f"{name}_{part}_us", BigInteger) for part in ("min", "p50", "p95", "p99")]


version = Table(
    "ledger_version", metadata, Column("version", Integer, nullable=False), Column("since_us", BigInteger)
)

names = Table("names", metadata, _key(), Column("name", Text, nullable=False, unique=True))

sites = Table("sites", metadata, _key(), Column("site_id", Text, nullable=False, unique=True))

epochs = Table(
    "epochs",
    metadata,
    _key(),
    Column("site_key", BigInteger, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("high_water", BigInteger, nullable=False),
    Column("previous", Text),
    Column("previous_last", BigInteger),
    UniqueConstraint("site_key", "epoch"),
)

series = Table(
    "series",
    metadata,
    _key(),
    Column("site_key", BigInteger, nullable=False),
    Column("probe_key", BigInteger, nullable=False),
    Column("direction", Text),
    Column("dscp", SmallInteger),
)
# NULLs are distinct to a plain unique constraint; a series without direction must still be one.
Index(
    "series_once",
    series.c.site_key,
    series.c.probe_key,
    func.coalesce(series.c.direction, ""),
    func.coalesce(series.c.dscp, -1),
    unique=True,
)

batches = Table(
    "batches",
    metadata,
    _key(),
    Column("site_key", BigInteger, nullable=False),
    Column("agent_key", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("payload_digest", LargeBinary(32), nullable=False),
    Column("sent_wall_us", BigInteger, nullable=False),
    Column("sent_boot_us", BigInteger, nullable=False),
    Column("sent_boot_key", BigInteger, nullable=False),
    Column("sent_synchronised", Boolean, nullable=False),
    Column("sent_max_error_us", BigInteger),
)

payloads = Table(
    "payloads",
    metadata,
    Column("batch_key", _Key, primary_key=True),
    Column("received_us", BigInteger, nullable=False, index=True),
    Column("zlib", LargeBinary, nullable=False),
)

measurements = Table(
    "measurements",
    metadata,
    _key(),
    Column("epoch_key", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("series_key", BigInteger, nullable=False),
    Column("batch_key", BigInteger, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("clock_offset_us", BigInteger, nullable=False),
    Column("ahead", Boolean, nullable=False),
    Column("boot_us", BigInteger, nullable=False),
    Column("boot_key", BigInteger, nullable=False),
    Column("synchronised", Boolean, nullable=False),
    Column("max_error_us", BigInteger),
    Column("duration_us", BigInteger, nullable=False),
    Column("purpose_key", BigInteger, nullable=False),
    Column("outcome_key", BigInteger, nullable=False),
    Column("failure_key", BigInteger),
    Column("peer_key", BigInteger, nullable=False),
    Column("slot_us", BigInteger),
    Column("interval_us", BigInteger),
    Column("schedule_key", BigInteger),
    Column("session", Text),
    Column("detail", Text),
    Column("bytes_sent", BigInteger, nullable=False),
    Column("bytes_received", BigInteger, nullable=False),
    UniqueConstraint("epoch_key", "seq"),  # an epoch is one site's, so this is (site, epoch, seq)
)
# What live state is rebuilt from: the newest of a series, claims from the future passed over.
Index(
    "measurements_of_series",
    measurements.c.series_key,
    measurements.c.time_us,
    sqlite_where=measurements.c.ahead.is_(False),
    postgresql_where=measurements.c.ahead.is_(False),
)

floor_values = Table(
    "floor_values",
    metadata,
    _key("measurement_key"),
    Column("verdict_key", BigInteger, nullable=False),
    Column("floor_bps", Float, nullable=False),
    Column("line_counters_key", BigInteger, nullable=False),
    Column("at_least_bps", Float, nullable=False),
    Column("capacity_bps", Float),
    Column("loss_ratio", Float),
)

floor_tests = Table(
    "floor_tests",
    metadata,
    _key("measurement_key"),
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
    Column("rtt_min_us", BigInteger),
    sqlite_with_rowid=False,
)

stamp_values = Table(
    "stamp_values",
    metadata,
    _key("measurement_key"),
    Column("sent", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("timeout_us", BigInteger, nullable=False),
    Column("loss_ratio", Float, nullable=False),
    Column("loss_forward_ratio", Float),
    Column("loss_return_ratio", Float),
    *_spread("rtt"),
    *_spread("variation_forward"),
    *_spread("variation_return"),
    *_spread("delay_forward"),
    *_spread("delay_return"),
    Column("reordered_forward", BigInteger, nullable=False),
    Column("reordered_return", BigInteger, nullable=False),
    Column("duplicated", BigInteger, nullable=False),
    Column("reply_dscp", SmallInteger),
    Column("authenticated", Boolean, nullable=False),
    Column("kernel_stamps", Boolean, nullable=False),
)

# Values of a probe that this version does not know, whole, for the version that does.
unknown_values = Table(
    "unknown_values", metadata, _key("measurement_key"), Column("json", LargeBinary, nullable=False)
)

# A second content under an identity that is taken: the first stands in ``measurements``, this one here.
conflicts = Table(
    "conflicts",
    metadata,
    _key(),
    Column("epoch_key", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("json", LargeBinary, nullable=False),
    UniqueConstraint("epoch_key", "seq", "digest"),
)

# What was not taken, and why: bounded, the oldest give way.
rejects = Table(
    "rejects",
    metadata,
    _key(),
    Column("received_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("site_id", Text),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("payload_digest", LargeBinary(32), nullable=False),
    Column("payload_bytes", BigInteger, nullable=False),
    Column("payload_head", LargeBinary, nullable=False),
)
