"""Lab: emulated links, simulated fleets, faults, the demo and the benchmarks. May import everything.

Lives here: what proves the programs on one machine. A distribution of its own, ``plancher-lab``.
May not live here: anything that a program needs in service. Nothing imports the lab.
Imported by: tests only.
"""
