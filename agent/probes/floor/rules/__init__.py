"""Decisions of the floor probe, from one test to a condemnation. Pure.

Lives here: the verdict on one measurement, the sequence of an agent's measurements, and Wald's sequential
  test.
May not live here: I/O, clocks, and figures that the capacity probe needs too (``agent.load.rules``).
Imported by: ``agent.probes.floor``; ``agent.commands`` for the rates that a floor needs.
"""
