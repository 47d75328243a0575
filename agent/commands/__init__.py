"""What ``plancher-agent`` can be asked to do: one module a command, each with ``main``."""
