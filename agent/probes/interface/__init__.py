"""agent.probes.interface."""
