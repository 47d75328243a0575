"""collector.ingest."""
