"""collector.pages."""
