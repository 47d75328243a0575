"""Ledger: the collector's durable record of every measurement, and of every message's fate.

Lives here: the store, its schema and migrations, the one writer, and the queries that views are rebuilt from.
May not live here: a view. This room imports nothing of ``live``, ``incidents``, ``pages`` or ``metrics``,
  also not through others.
Imported by: ``collector.service``, ``collector.check``, ``collector.__main__``.
"""
