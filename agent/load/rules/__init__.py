"""agent.load.rules."""
