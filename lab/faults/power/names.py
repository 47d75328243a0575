"""What the files of a workload are called."""

JOURNAL = "journal.db"
LEDGER = "ledger.db"
NOTES = "notes"
