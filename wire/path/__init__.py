"""The way to the peer: which packets to send along it, and what their answers say of it.

May live here: what one probing packet and one answer are, the trace of hops, the search for the path MTU, and
the messages between the agent and the helper that may send such packets.
May not: sockets, clocks, packet formats below UDP, or when a trace is made.
"""
