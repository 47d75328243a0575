"""Ingest: everything between the broker and the ledger's writer, and back.

Lives here: decoding at the edge, the bounded queues both ways, and requests to send again.
May not live here: SQL, and views.
Imported by: ``collector.service``.
"""
