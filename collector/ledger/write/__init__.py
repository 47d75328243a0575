"""collector.ledger.write."""
