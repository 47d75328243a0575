"""agent.probes.reachability."""
