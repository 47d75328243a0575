"""Line: its counters, wherever they are, and what they prove on their own.

Lives here: readings of counters, their sources (interface, directory, SNMP), and passive proof of the
  download floor.
May not live here: loads (``agent.load``) and verdicts (``agent.probes.floor``).
Imported by: ``agent.task``, ``agent.load``, the interface probe, ``agent.service``, ``agent.commands``.
"""
