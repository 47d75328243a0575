"""Model: what the collector's rooms say to each other. Pure, below all of them.

Lives here: observations, freshness, outages, clock correction, peer comparison, completeness, inventory, own
  counters.
May not live here: I/O, clocks, SQL, and state that a view keeps.
Imported by: every room of the collector; it imports none of them.
"""
