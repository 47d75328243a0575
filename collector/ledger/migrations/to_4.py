"""Schema 3 to 4: peers' tests have an epoch and a sequence number, and peers declare gaps.

Tests of before have no identity from a journal: their key stands in its place.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, UniqueConstraint

_KEY = BigInteger().with_variant(Integer(), "sqlite")


def upgrade() -> None:
    """Bring the ledger to schema 4, inside the caller's transaction."""
    names = {"uq": "uq_%(table_name)s_%(column_0_name)s"}
    with op.batch_alter_table("peer_tests", recreate="always", naming_convention=names) as table:
        table.drop_constraint("uq_peer_tests_peer_key", type_="unique")
        table.add_column(Column("epoch", Text, nullable=False, server_default=""), insert_after="peer_key")
        table.add_column(Column("seq", BigInteger, nullable=False, server_default="0"), insert_after="epoch")
        table.create_unique_constraint("peer_tests_once", ["peer_key", "epoch", "seq", "digest"])
    op.execute("UPDATE peer_tests SET seq = key")
    op.create_table(
        "peer_gaps",
        Column("key", _KEY, primary_key=True),
        Column("peer_key", BigInteger, nullable=False),
        Column("epoch", Text, nullable=False),
        Column("first", BigInteger, nullable=False),
        Column("last", BigInteger, nullable=False),
        Column("reason_key", BigInteger, nullable=False),
        Column("at_us", BigInteger, nullable=False),
        Column("received_us", BigInteger, nullable=False),
        UniqueConstraint("peer_key", "epoch", "first", "last"),
    )
