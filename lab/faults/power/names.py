"""What the files of a workload are called."""

JOURNAL = "journal.db"
HEARTBEAT = f"{JOURNAL}-heartbeat"
LEDGER = "ledger.db"
NOTES = "notes"
