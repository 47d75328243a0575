"""agent.schedule."""
