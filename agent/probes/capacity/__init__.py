"""Capacity probe: a search for the Maximum IP-Layer Capacity (RFC 9097, RFC 9946).

Lives here: the probe and its byte budget.
May not live here: figures of a search: they are in ``agent.load.rules.capacity``, shared with the floor.
Imported by: the registry ``agent.probes``, ``agent.commands``.
"""
