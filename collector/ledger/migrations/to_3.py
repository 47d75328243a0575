"""Schema 2 to 3: what each epoch lacks, declared gaps, what is known of clocks, outages, and resends.

As the tables were then; what they are now stands in ``collector.ledger.schema``. What each epoch holds, and
how far it is known to have come, is counted once, over the index of identities.
"""

from typing import Any

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text, UniqueConstraint, false, text

# Epochs of which nothing came are known by those that follow them.
_ONLY_FOLLOWED = """
INSERT INTO epochs (site_key, epoch, high_water)
SELECT site_key, previous, 0 FROM epochs WHERE previous IS NOT NULL
EXCEPT SELECT site_key, epoch, 0 FROM epochs
"""
_COMMITTED = """
UPDATE epochs SET committed = (SELECT count(*) FROM measurements m WHERE m.epoch_key = epochs.key)
"""
_CONFLICTS = """
UPDATE epochs SET conflicts = (SELECT count(*) FROM conflicts c WHERE c.epoch_key = epochs.key)
"""
_HIGH_WATER = """
UPDATE epochs SET high_water = max(
  high_water,
  coalesce((SELECT max(seq) FROM measurements m WHERE m.epoch_key = epochs.key), 0),
  coalesce((SELECT max(previous_last) FROM epochs f
            WHERE f.site_key = epochs.site_key AND f.previous = epochs.epoch), 0)
)
"""
_BELIEVED = """
UPDATE measurements SET time_error_us = max_error_us WHERE synchronised AND clock_offset_us = 0
"""

_KEY = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Bring the ledger to schema 3, inside the caller's transaction."""
    for name in ("committed", "declared", "conflicts"):
        op.add_column("epochs", Column(name, BigInteger, nullable=False, server_default="0"))
    op.add_column("measurements", Column("time_error_us", BigInteger))
    op.add_column("measurements", Column("outdated", Boolean, nullable=False, server_default=false()))
    op.execute(_BELIEVED)
    _create_tables_of_completeness()
    _create_tables_of_values()
    for statement in (_ONLY_FOLLOWED, _COMMITTED, _CONFLICTS, _HIGH_WATER):
        op.execute(statement)


def _create_tables_of_completeness() -> None:
    op.create_table(
        "gaps",
        _key(),
        Column("epoch_key", BigInteger, nullable=False),
        Column("first", BigInteger, nullable=False),
        Column("last", BigInteger, nullable=False),
        Column("reason_key", BigInteger, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        Column("received_us", BigInteger, nullable=False),
        UniqueConstraint("epoch_key", "first", "last"),
    )
    op.create_table(
        "boots",
        _key(),
        Column("site_key", BigInteger, nullable=False),
        Column("boot_key", BigInteger, nullable=False),
        Column("offset_us", BigInteger),
        Column("error_us", BigInteger),
        Column("at_us", BigInteger),
        Column("source_key", BigInteger),
        Column("settled", Boolean, nullable=False),
        UniqueConstraint("site_key", "boot_key"),
    )
    op.create_index("boots_unsettled", "boots", ["key"], sqlite_where=text("settled IS 0"))
    op.create_index(
        "measurements_unsynchronised",
        "measurements",
        ["boot_key", "key"],
        sqlite_where=text("synchronised IS 0"),
    )
    op.create_table(
        "resends",
        _key(),
        Column("command", Text, nullable=False, unique=True),
        Column("since_us", BigInteger, nullable=False),
        Column("asked_us", BigInteger, nullable=False),
    )


def _create_tables_of_values() -> None:
    op.create_table(
        "reachability_values",
        _key("measurement_key"),
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
    op.create_table(
        "clock_values",
        _key("measurement_key"),
        Column("change_key", BigInteger, nullable=False),
        Column("offset_us", BigInteger, nullable=False),
        Column("before_us", BigInteger),
        Column("peer_offset_us", BigInteger),
        Column("peer_error_us", BigInteger),
        Column("peer_boot_us", BigInteger),
    )


def _key(name: str = "key") -> Column[int]:
    return Column(name, _KEY, primary_key=True)


def _moment(name: str, *, nullable: bool) -> list[Column[Any]]:
    return [
        Column(f"{name}_wall_us", BigInteger, nullable=nullable),
        Column(f"{name}_boot_us", BigInteger, nullable=nullable),
        Column(f"{name}_boot_id", Text, nullable=nullable),
        Column(f"{name}_synchronised", Boolean, nullable=nullable),
        Column(f"{name}_max_error_us", BigInteger),
    ]
