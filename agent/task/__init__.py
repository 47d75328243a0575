"""Tasks: the contract between probes and the program that runs them.

Lives here: the task, its reading, the probe protocol, retests, slots, watches, and the context that probes
  are built from.
May not live here: any probe, schedule or socket. This room is pure.
Imported by: every other room of the agent but ``line``, ``train``, ``report`` and ``settings``.
"""
