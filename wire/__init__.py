"""Wire: what two processes must agree on: records, topics, messages, packet formats, test protocols.

Lives here: structs, codecs and sans-I/O protocol cores.
May not live here: I/O, asyncio, clocks. Moments and bytes are passed in.
Imported by: every package; it imports none of them.
"""
