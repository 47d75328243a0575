"""agent.heartbeat."""
