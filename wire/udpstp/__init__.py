"""UDPSTP, the UDP Speed Test Protocol (RFC 9946), with the method of RFC 9097.

May live here: its PDUs, authentication, sending-rate table, and both ends' state machines as functions of
bytes and time. Times passed in are integer nanoseconds: ``now`` on a monotonic clock, ``wall`` since the
Unix epoch. May not: what a rate means for a contract; that is the probe's.
"""
