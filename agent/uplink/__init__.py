"""agent.uplink."""
