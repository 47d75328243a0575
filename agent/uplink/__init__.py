"""The agent's side of delivery: presence, commands, and the session with the broker.

Lives here: what only an agent says to the collector and hears from it beside records and receipts.
May not live here: what is sent when (``outbox``).
Imported by: ``agent.service``, and ``agent.probes.reachability``, which asks it for the state of the session.
"""
