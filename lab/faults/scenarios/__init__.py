"""lab.faults.scenarios."""
