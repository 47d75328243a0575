"""agent.probes.stamp."""
