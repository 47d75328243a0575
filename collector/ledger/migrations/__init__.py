"""Ledgers of older schemas, brought up to the present one: one module a step, with Alembic's operations.

May live here: steps, each frozen as its tables were then, and what runs them. May not: anything that is
imported while the ledger is up to date, because Alembic is as heavy as the rest of the ledger.
"""
