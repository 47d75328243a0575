"""Simulation: fleets and lines that exist as figures only.

Lives here: a simulated fleet of agents, models of measuring errors, and the simulation of condemnations.
May not live here: links that carry packets.
Imported by: ``lab.bench``, ``lab.faults``.
"""
