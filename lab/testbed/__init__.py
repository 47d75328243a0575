"""Testbeds: programs started together for a test or a benchmark, and ended together.

Lives here: one module a testbed, from a single emulated line to a site behind a chain of routers.
May not live here: what is measured in them.
Imported by: ``lab.bench``, ``lab.demo``, ``lab.faults``, tests.
"""
