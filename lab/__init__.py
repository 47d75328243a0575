"""Emulated links, simulated fleets, faults, demo, benchmarks. May import all; nothing imports the lab.

May live here: what emulates, runs, loads, breaks or measures the real programs on one machine. May not:
anything that a program in service needs.
"""
