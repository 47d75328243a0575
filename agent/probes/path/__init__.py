"""agent.probes.path."""
