"""collector.ledger.admin."""
