"""Messages over MQTT: envelopes, receipts, presence, commands, and the topics they travel on.

Lives here: structs and their bounded codecs.
May not live here: the records inside an envelope (``wire.records``), and sessions (``net``).
Imported by: agent, peer and collector.
"""
