"""Heartbeat: signs of life on disk, and how the previous run of the agent ended.

Lives here: the heartbeat file, the watch that writes it, and ``rules``, which judge the previous run.
  ``rules`` is pure.
May not live here: what the journal alone can know.
Imported by: ``agent.service``.
"""
