"""The floor: whether a direction of the line carries what it was promised, from one test to a condemnation.

May live here: the rules of verdict, sequence and standing, and how one test and the search that has to agree
are run. May not: the probe that the schedule starts (``agent.probes.floor``), and searches of capacity.
"""
