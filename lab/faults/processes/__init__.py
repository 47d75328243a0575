"""lab.faults.processes."""
