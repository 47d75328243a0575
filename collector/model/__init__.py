"""collector.model."""
