"""Tables of messages, measurements and peer comparisons: everything but the values of each kind.

A column is a number of 64 bits unless its line names another type. Times are Unix microseconds of the wall
clock unless named ``boot``; rates are in bit/s at the IP layer; an unknown value is NULL. Words of closed
vocabularies, peers, schedules and boots are keys into ``names``, so that a row of a year of measurements
stays small. ``measurements.key`` grows in the order of commits.

A batch has the ``number`` that it is of its site. Its ``chain`` is the digest of what it brought and of the
chain before it. The keys of its ``records`` follow each other from ``first_key`` on. Every row has a digest
of its columns (:mod:`.digests`).
"""

from typing import Any

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

from collector.ledger.schema.layout import KEY, Layout, digested_table, key, metadata
from wire.messages.peer_tests import PeerTest

SCHEMA_VERSION = 1


def _required(*names: str, kind: Any = BigInteger) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in names]


def _optional(*names: str, kind: Any = BigInteger) -> list[Column[Any]]:
    return [Column(name, kind) for name in names]


def _partial_index(name: str, *columns: Any, where: Any) -> Index:
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


version = Table("ledger_schema", metadata, *_required("version", kind=Integer), *_optional("since_us"))

# Number of each table's rows, and the sum of their digests: a row that was removed is missing in it.
table_sums = Table(
    "table_sums",
    metadata,
    Column("table", Text, primary_key=True),
    *_required("rows", "digests"),
)

names = digested_table("names", key(), Column("name", Text, nullable=False, unique=True))

# ``batches`` is the number of a site's batches, ``chain`` that of the newest one.
sites = digested_table(
    "sites",
    key(),
    Column("site_id", Text, nullable=False, unique=True),
    *_required("batches"),
    *_required("chain", kind=LargeBinary(16)),
)

epochs = digested_table(
    "epochs",
    key(),
    *_required("site_key"),
    *_required("epoch", kind=Text),
    *_required("high_water"),
    *_optional("previous", kind=Text),
    *_optional("previous_last"),
    *_required("committed", "declared", "conflicts"),
    UniqueConstraint("site_key", "epoch"),
)

# Ranges that a site declared lost for good. ``epochs.declared`` does not count what arrived all the same.
gaps = digested_table(
    "gaps",
    key(),
    *_required("epoch_key", "first", "last", "reason_key", "at_us", "received_us"),
    UniqueConstraint("epoch_key", "first", "last"),
)

# The best anchor of each boot: UTC less CLOCK_BOOTTIME, at ``at_us`` of that clock, or NULL.
# ``redated``: the boot's measurements are dated by it, or the boot without an anchor cannot be bounded.
boots = digested_table(
    "boots",
    key(),
    *_required("site_key", "boot_key"),
    *_optional("offset_us", "error_us", "at_us", "source_key"),
    *_required("redated", kind=Boolean),
    UniqueConstraint("site_key", "boot_key"),
)
_partial_index("boots_to_redate", boots.c.key, where=boots.c.redated.is_(False))

# Eras of the collector's own wall clock in the present boot of its machine (``collector.model.clock_steps``).
# ``first_key``: of the dating era, the first measurement that was received in this boot.
clock_eras = digested_table(
    "clock_eras",
    key(),
    *_required("boot_key", "offset_us", "lasted_us", "left_us"),
    *_required("synchronised", "present", kind=Boolean),
    *_optional("first_key"),
)

# Measurements after ``after_key``, up to ``last_key``, whose arrival was dated wrong by ``-shift_us``.
arrival_redatings = digested_table(
    "arrival_redatings", key(), *_required("shift_us", "after_key", "last_key")
)

# Requests to every site to send again after the ledger was restored; the newest one is in force.
resends = digested_table(
    "resends",
    key(),
    Column("command", Text, nullable=False, unique=True),
    *_required("since_us", "asked_us"),
)

series = digested_table(
    "series",
    key(),
    *_required("site_key", "probe_key"),
    *_optional("direction", kind=Text),
    *_optional("dscp", kind=SmallInteger),
)
# A plain unique constraint would allow the same series twice without a direction: NULLs are distinct to it.
Index(
    "series_once",
    series.c.site_key,
    series.c.probe_key,
    func.coalesce(series.c.direction, ""),
    func.coalesce(series.c.dscp, -1),
    unique=True,
)

batches = digested_table(
    "batches",
    key(),
    *_required("site_key", "number", "first_key", "records", "agent_key", "received_us"),
    *_required("chain", kind=LargeBinary(16)),
    *_required("payload_digest", kind=LargeBinary(32)),
    *_required("sent_wall_us", "sent_boot_us", "sent_boot_key"),
    *_required("sent_synchronised", kind=Boolean),
    *_optional("sent_max_error_us"),
    UniqueConstraint("site_key", "number"),
)

payloads = digested_table(
    "payloads",
    Column("batch_key", KEY, primary_key=True),
    Column("received_us", BigInteger, nullable=False, index=True),
    *_required("zlib", kind=LargeBinary),
)

measurements = digested_table(
    "measurements",
    key(),
    *_required("epoch_key", "seq", "series_key", "batch_key"),
    *_required("digest", kind=LargeBinary(16)),
    *_required("time_us", "clock_offset_us"),
    *_optional("time_error_us"),
    *_required("ahead", "outdated", kind=Boolean),
    *_required("boot_us", "boot_key"),
    *_required("synchronised", kind=Boolean),
    *_optional("max_error_us"),
    *_required("duration_us", "purpose_key", "outcome_key"),
    *_optional("failure_key"),
    *_required("peer_key"),
    *_optional("slot_us", "interval_us", "schedule_key"),
    *_optional("session", "detail", kind=Text),
    *_required("bytes_sent", "bytes_received"),
    *_optional("host_busy_ratio", "host_load_1min", kind=Float),
    UniqueConstraint("epoch_key", "seq"),  # an epoch is one site's, so this is (site, epoch, seq)
)
# Finds the newest measurement of a series, from which live state is rebuilt. Views show no others.
_partial_index(
    "measurements_of_series",
    measurements.c.series_key,
    measurements.c.time_us,
    where=measurements.c.ahead.is_(False) & measurements.c.time_error_us.is_not(None),
)
# Finds measurements that may have to be re-dated when more is known of their boot.
_partial_index(
    "measurements_unsynchronised",
    measurements.c.boot_key,
    measurements.c.key,
    where=measurements.c.synchronised.is_(False),
)

# Further contents under an identity whose first content is in ``measurements``.
conflicts = digested_table(
    "conflicts",
    key(),
    *_required("epoch_key", "seq"),
    *_required("digest", kind=LargeBinary(16)),
    *_required("received_us"),
    *_required("json", kind=LargeBinary),
    UniqueConstraint("epoch_key", "seq", "digest"),
)

# Rejected messages and records with the reason, bounded in number: the oldest are dropped.
rejects = digested_table(
    "rejects",
    key(),
    *_required("received_us"),
    *_required("topic", kind=Text),
    *_optional("site_id", kind=Text),
    *_required("reason", "detail", kind=Text),
    *_required("payload_digest", kind=LargeBinary(32)),
    *_required("payload_bytes"),
    *_required("payload_head", kind=LargeBinary),
)

PEER_TEST = Layout(PeerTest, apart=frozenset({"epoch", "seq", "session", "direction", "outcome", "start"}))

# A second content under one identity is kept beside the first.
peer_tests = digested_table(
    "peer_tests",
    key(),
    *_required("peer_key"),
    *_required("epoch", kind=Text),
    *_required("seq"),
    *_required("session", "direction", kind=Text),
    *_required("start_us"),
    *_required("digest", kind=LargeBinary(16)),
    *_required("received_us", "program_key", "boot_us", "boot_key"),
    *_required("synchronised", kind=Boolean),
    *_optional("max_error_us"),
    *_required("outcome_key"),
    *PEER_TEST.columns(),
    UniqueConstraint("peer_key", "epoch", "seq", "digest"),
)
# Finds the newest test of a peer, which may be silent while others send thousands of tests an hour.
Index("peer_tests_of_peer", peer_tests.c.peer_key, peer_tests.c.start_us)

# Ranges that a peer declared lost for good.
peer_gaps = digested_table(
    "peer_gaps",
    key(),
    *_required("peer_key"),
    *_required("epoch", kind=Text),
    *_required("first", "last", "reason_key", "at_us", "received_us"),
    UniqueConstraint("peer_key", "epoch", "first", "last"),
)

# One row for each test with one record or both. ``result`` is NULL while the second record may still arrive.
peer_comparisons = digested_table(
    "peer_comparisons",
    key(),
    *_required("peer_key"),
    *_required("session", "direction", kind=Text),
    *_required("seen_us", "time_us"),
    *_optional("site_key", "measurement_key"),
    *_optional("ordinal", kind=SmallInteger),
    *_optional("peer_test_key"),
    *_optional("result", kind=Text),
    *_optional("difference", kind=Float),
    UniqueConstraint("peer_key", "session", "direction"),
)
# Finds what is re-dated with its measurement.
Index("peer_comparisons_of_measurement", peer_comparisons.c.measurement_key)
_partial_index("peer_comparisons_open", peer_comparisons.c.seen_us, where=peer_comparisons.c.result.is_(None))
_partial_index(
    "peer_comparisons_disagreeing",
    peer_comparisons.c.site_key,
    peer_comparisons.c.time_us,
    where=peer_comparisons.c.result == "disagree",
)
