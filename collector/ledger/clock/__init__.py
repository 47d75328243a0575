"""collector.ledger.clock."""
