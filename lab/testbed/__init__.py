"""lab.testbed."""
