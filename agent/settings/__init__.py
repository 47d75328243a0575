"""agent.settings."""
