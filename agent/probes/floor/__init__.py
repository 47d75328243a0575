"""agent.probes.floor."""
