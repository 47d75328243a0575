"""collector.service."""
