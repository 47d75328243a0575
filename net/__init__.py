"""Net: sockets with kernel timestamps, questions to the kernel and to SNMP agents, and the MQTT session.

Lives here: thin shells between sockets and cores of ``wire``, routes and ICMP errors of the kernel. Also the
  MQTT session with its TLS and error texts, and complaints.
May not live here: decisions about the bytes that are moved, files and clocks of the machine (``host``).
Imported by: agent, peer, collector, ``lab``.
"""
