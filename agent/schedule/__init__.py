"""Schedule: when each task starts, who may use the line, and the one catcher of exceptions.

Lives here: the scheduler (pure), the runner, and the lock of the line.
May not live here: any probe by name.
Imported by: ``agent.service``, ``agent.commands``.
"""
