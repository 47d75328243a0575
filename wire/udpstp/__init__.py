"""UDPSTP, the UDP Speed Test Protocol (RFC 9946), with the method of RFC 9097.

Lives here: PDUs, authentication, the sending-rate table, plan and report of a load test, and the state
  machines of client and server. ``ends`` has the part of a load that is the same on both. Times passed in are
  integer nanoseconds: ``now`` on a monotonic clock, ``wall`` since the Unix epoch.
May not live here: the meaning of a rate for a contract (``agent.load.rules``), sockets (``net.load``).
Imported by: ``net.load``, the agent's load tests, the peer, ``lab``.
"""
