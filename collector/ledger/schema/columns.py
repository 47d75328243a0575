"""What the ledger's tables are made of."""

from sqlalchemy import BigInteger, Column, Integer, MetaData

metadata = MetaData()
# SQLite makes only a column of type INTEGER the row's own number; elsewhere it must hold 64 bits.
KEY = BigInteger().with_variant(Integer(), "sqlite")


def key(name: str = "key") -> Column[int]:
    """A table's own key."""
    return Column(name, KEY, primary_key=True)
