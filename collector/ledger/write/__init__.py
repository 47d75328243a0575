"""Writing: the one writer thread and its transactions.

Lives here: the writer, one transaction of a group of messages, its result, epoch counters, and peer
  comparisons.
May not live here: reading for views (``read``), dating (``clock``).
Imported by: ``collector.service``.
"""
