"""collector.metrics."""
