"""collector.ledger.read."""
