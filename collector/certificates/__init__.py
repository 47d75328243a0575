"""collector.certificates."""
