"""What came, from whom, and what is common to every measurement."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
)

from collector.ledger.schema.columns import KEY, key, metadata

version = Table(
    "ledger_schema", metadata, Column("version", Integer, nullable=False), Column("since_us", BigInteger)
)

names = Table("names", metadata, key(), Column("name", Text, nullable=False, unique=True))

sites = Table("sites", metadata, key(), Column("site_id", Text, nullable=False, unique=True))

epochs = Table(
    "epochs",
    metadata,
    key(),
    Column("site_key", BigInteger, nullable=False),
    Column("epoch", Text, nullable=False),
    Column("high_water", BigInteger, nullable=False),
    Column("previous", Text),
    Column("previous_last", BigInteger),
    Column("committed", BigInteger, nullable=False),
    Column("declared", BigInteger, nullable=False),
    Column("conflicts", BigInteger, nullable=False),
    UniqueConstraint("site_key", "epoch"),
)

# What its site declared lost for good; ``epochs.declared`` counts what of it did not come after all.
gaps = Table(
    "gaps",
    metadata,
    key(),
    Column("epoch_key", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("reason_key", BigInteger, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    UniqueConstraint("epoch_key", "first", "last"),
)

# The best anchor of each boot: UTC less CLOCK_BOOTTIME, at ``at_us`` of that clock, or NULL.
# ``redated``: the boot's measurements are dated by it, or the boot without an anchor cannot be bounded.
boots = Table(
    "boots",
    metadata,
    key(),
    Column("site_key", BigInteger, nullable=False),
    Column("boot_key", BigInteger, nullable=False),
    Column("offset_us", BigInteger),
    Column("error_us", BigInteger),
    Column("at_us", BigInteger),
    Column("source_key", BigInteger),
    Column("redated", Boolean, nullable=False),
    UniqueConstraint("site_key", "boot_key"),
)
Index(
    "boots_to_redate",
    boots.c.key,
    sqlite_where=boots.c.redated.is_(False),
    postgresql_where=boots.c.redated.is_(False),
)

# What every site is asked to send again, after the ledger was restored; the newest is in force.
resends = Table(
    "resends",
    metadata,
    key(),
    Column("command", Text, nullable=False, unique=True),
    Column("since_us", BigInteger, nullable=False),
    Column("asked_us", BigInteger, nullable=False),
)

series = Table(
    "series",
    metadata,
    key(),
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
    key(),
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
    Column("batch_key", KEY, primary_key=True),
    Column("received_us", BigInteger, nullable=False, index=True),
    Column("zlib", LargeBinary, nullable=False),
)

measurements = Table(
    "measurements",
    metadata,
    key(),
    Column("epoch_key", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("series_key", BigInteger, nullable=False),
    Column("batch_key", BigInteger, nullable=False),
    Column("digest", LargeBinary(16), nullable=False),
    Column("time_us", BigInteger, nullable=False),
    Column("clock_offset_us", BigInteger, nullable=False),
    Column("time_error_us", BigInteger),
    Column("ahead", Boolean, nullable=False),
    Column("outdated", Boolean, nullable=False),
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
    Column("host_busy_ratio", Float),
    Column("host_load_1min", Float),
    UniqueConstraint("epoch_key", "seq"),  # an epoch is one site's, so this is (site, epoch, seq)
)
_IN_VIEWS = measurements.c.ahead.is_(False) & measurements.c.time_error_us.is_not(None)
# What live state is rebuilt from: the newest of a series. Undated ones and those of the future are left out.
Index(
    "measurements_of_series",
    measurements.c.series_key,
    measurements.c.time_us,
    sqlite_where=_IN_VIEWS,
    postgresql_where=_IN_VIEWS,
)

# What may have to be dated again when more is known of its boot.
Index(
    "measurements_unsynchronised",
    measurements.c.boot_key,
    measurements.c.key,
    sqlite_where=measurements.c.synchronised.is_(False),
    postgresql_where=measurements.c.synchronised.is_(False),
)

# A second content under an identity that is taken: the first stands in ``measurements``, this one here.
conflicts = Table(
    "conflicts",
    metadata,
    key(),
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
    key(),
    Column("received_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("site_id", Text),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("payload_digest", LargeBinary(32), nullable=False),
    Column("payload_bytes", BigInteger, nullable=False),
    Column("payload_head", LargeBinary, nullable=False),
)
