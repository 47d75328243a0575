"""agent.probes.capacity."""
