"""collector.live."""
