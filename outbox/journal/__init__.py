"""Journal: records in one SQLite file from their commit until the collector has them, and a week beyond.

Lives here: the tables (``schema``, ``store``, ``gaps``) and the file (``file``, ``disk``). Beside them the
  small file that says how far the journal came (``heartbeat``), and salvage of a damaged one (``salvage``).
  Then what goes when it is full (``space``), and records while the disk fails (``memory``). All of it runs
  on one thread (``thread``).
May not live here: the meaning of a record. The journal compares ``outbox.rows.Filing`` and reads no record.
Imported by: ``outbox.publisher``, the programs, and the lab.
"""
