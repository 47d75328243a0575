"""agent.load."""
