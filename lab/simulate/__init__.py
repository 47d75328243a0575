"""lab.simulate."""
