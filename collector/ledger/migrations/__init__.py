"""Migrations: upgrades of ledgers with an older schema, and of records that an older program did not know.

Lives here: the steps, written with Alembic's operations and frozen as the tables were then.
May not live here: imports of Alembic that run while the ledger is up to date. Alembic is as heavy as the
  rest of the ledger.
Imported by: ``collector.ledger.store``.
"""
