"""agent.task."""
