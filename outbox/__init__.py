"""Outbox: a program's durable record of what it measured, and its delivery to the collector.

Lives here: what agent and peer do alike with a record once it exists. ``journal`` keeps records in SQLite.
  ``delivery`` is the pure core of sending and receipts. ``publisher`` is the shell that connects both with
  MQTT. ``rows`` are the values they share, ``receipt_watch`` the moments of receipts.
May not live here: what a record measures, who made it, and how important it is. The program gives those as
  opaque values (``rows.Filing``).
Imported by: ``agent``, ``peer`` and ``lab``.
"""
