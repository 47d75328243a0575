"""agent.train."""
