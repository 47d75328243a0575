"""Benchmarks: figures beside the truth and beside other tools, in one run.

Lives here: one module a ``make bench-…`` target, and what they share.
May not live here: tests with a bound on time.
Imported by: ``make`` and tests.
"""
