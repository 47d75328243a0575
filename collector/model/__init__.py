"""Model: values that the collector's rooms share. Pure, below all of them.

Lives here: observations, notices, outages, clock correction, peer comparison, completeness, inventory, own
  counters.
May not live here: I/O, clocks, SQL, and state that a view keeps.
Imported by: every room of the collector; it imports none of them.
"""
