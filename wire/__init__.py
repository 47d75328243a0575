"""What two processes must agree on: records, topics, packet formats, test protocols.

May live here: data types, encoders, decoders and protocol state machines, with bytes and ``now`` passed in.
May not: sockets, files, threads, asyncio, or the reading of a clock.
"""
