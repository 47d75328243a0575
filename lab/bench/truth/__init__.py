"""Benchmark ``make bench-truth``: floor verdicts on kernel links of many shapes, counted against the truth.

Lives here: the list of shapes, the runs on a link, and the account with its bars.
May not live here: rules of the floor: they are in ``agent.probes.floor.rules``.
Imported by: ``make`` and tests.
"""
