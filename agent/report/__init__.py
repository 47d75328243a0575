"""agent.report."""
