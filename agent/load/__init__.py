"""Load tests: what the floor probe and the capacity probe share while they fill the line.

Lives here: the UDPSTP client (RFC 9946) with its socket, the meter of the line beside a load, latency under
  load (RFC 8762).
May not live here: verdicts, and anything that one of the two probes needs alone.
Imported by: ``agent.probes.floor``, ``agent.probes.capacity``, ``agent.commands``.
"""
