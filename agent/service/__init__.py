"""agent.service."""
