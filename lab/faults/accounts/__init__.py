"""lab.faults.accounts."""
