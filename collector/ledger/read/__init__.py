"""Reading: the queries from which views are rebuilt.

Lives here: the latest of each series, outages, completeness, peer comparisons.
May not live here: writing, and state between two questions.
Imported by: ``collector.service``, ``collector.ledger.clock``, ``collector.ledger.admin``.
"""
