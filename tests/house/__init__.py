"""Checks and figures of the house itself: how the source is laid out, named and written.

``figures`` prints the table of the house, now and at an older revision (``make house``).
``checks`` fails on what may not come in any more, and ``commits`` on commit subjects (``make house-check``).
``owed.txt`` lists what older code still owes; it only shrinks (``make house-owed``).
``tree`` reads the sources, ``rooms`` their imports, ``writing`` their lines and docstrings.

``walk`` runs agent and collector under ``tracer`` and lists the files that one measurement passes
(``make house-walk``).

Nothing here imports the product: it is read as text, or started by its commands. So every revision can be
measured by the same script. No test of another room imports this one.
"""
