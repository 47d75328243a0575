"""collector.ledger.rows."""
