"""The outbox: a program's durable record of what it measured, and its delivery to the collector.

Lives here: what agent and peer do alike with a record once it exists. ``journal`` keeps records in SQLite
until the collector has a copy. ``delivery`` is the pure core that decides what to send when and what a
receipt means. ``publisher`` is the thin shell that connects both with MQTT. ``rows`` are the values they
share.

May not live here: what a record measures, who made it, and how important it is. The program chooses those
and gives them as opaque values (``rows.Filing``).

``agent``, ``peer`` and ``lab`` may import it; it imports ``net``, ``host`` and ``wire``.
"""
