"""Names of the files of a workload."""

JOURNAL = "journal.db"
HEARTBEAT = f"{JOURNAL}-heartbeat"
LEDGER = "ledger.db"
NOTES = "notes"
