"""Rules of load tests: what a report and its raw series show of the line. Pure.

Lives here: growth of the delay, validity of a test, the site's own traffic, the busy window, capacity by
  sub-interval (RFC 9097).
May not live here: I/O, clocks, and the verdict on the floor (``agent.probes.floor.rules``).
Imported by: ``agent.load`` and the two probes that load the line.
"""
