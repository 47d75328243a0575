"""The probes: one file each, each one way of measuring, none importing another."""
