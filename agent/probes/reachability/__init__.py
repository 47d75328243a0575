"""Reachability probe: who answers on the way to the peer, and the watch over outages.

Lives here: the probe, the watch that stands in for it in the resident agent, its sockets, and its state file.
May not live here: decisions: they are in ``rules``, which is pure.
Imported by: the registry ``agent.probes``, ``agent.service``.
"""
