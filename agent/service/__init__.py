"""Resident agent: the program that a service manager starts.

Lives here: the service, its process (``python -m agent.service``), the handover of settings, wiring, and the
  status file.
May not live here: measuring and deciding: each has a room of its own.
Imported by: ``agent.commands``.
"""
