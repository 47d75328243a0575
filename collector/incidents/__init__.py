"""collector.incidents."""
