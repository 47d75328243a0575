"""agent.probes.reachability.rules."""
