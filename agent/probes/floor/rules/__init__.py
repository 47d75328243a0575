"""agent.probes.floor.rules."""
