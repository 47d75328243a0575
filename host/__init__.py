"""Host: what programs need from their machine.

Lives here: settings files, keys, locks, log, clocks, load, units, exit codes, atomic writes, the service
  manager.
May not live here: sockets (``net``), and anything of one program alone.
Imported by: agent, peer, collector, ``lab``.
"""
