"""What ``plancher-agent`` can be asked to do: one module a command, each with ``main``.

May live here: commands, and what they alone tell a deployer. May not: what the resident agent needs.
"""
