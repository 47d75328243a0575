"""lab.programs."""
