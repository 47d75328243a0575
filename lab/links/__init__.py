"""lab.links."""
