"""The ledger: the collector's durable record of every measurement, and what became of every message.

May live here: tables, the one writer, and the queries from which views are rebuilt. May not: a view.
"""
