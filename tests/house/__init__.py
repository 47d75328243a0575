"""Checks and figures of the house itself: how the source is laid out, named and written.

``figures`` prints the table of the house, now and at an older revision (``make house``).
``checks`` fails on names and docstrings that break a rule, ``commits`` on commit subjects. Both are
``make house-check``.
``tree`` reads the sources, ``rooms`` their imports, ``writing`` their lines and docstrings.

``walk`` runs agent and collector under ``tracer`` and lists the files that one measurement passes
(``make house-walk``).

Nothing here imports the product: it is read as text, or started by its commands. So every revision can be
measured by the same script. No test of another room imports this one.
"""
