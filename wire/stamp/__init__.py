"""STAMP, the Simple Two-way Active Measurement Protocol (RFC 8762) with its extensions (RFC 8972).

Lives here: packet and TLV formats, the cores of Session-Sender and Session-Reflector, and the statistics of a
  train. Times are integer nanoseconds since the Unix epoch.
May not live here: sockets and schedules (``agent.train``, ``peer``), and the use of a result.
Imported by: the agent's train, path and STAMP rooms, ``peer.reflector``, ``wire.path``, ``lab``.
"""
