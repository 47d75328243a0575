"""STAMP trains: the Session-Sender over a real socket (RFC 8762 section 4.2).

Lives here: one train, the time at the peer learnt from it, and when the peer last answered.
May not live here: what a train says of a class (``agent.probes.stamp``) or of a load (``agent.load``).
Imported by: probes, ``agent.load``, ``agent.task`` for types.
"""
