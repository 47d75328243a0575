"""Processes that faults are made in: the real programs, started so that they can be killed.

Lives here: sites, collector, broker, the fault proxy, and the stage that starts them together.
May not live here: the account of a run (``accounts``), and which fault comes when (``scenarios``).
Imported by: ``lab.faults.scenarios``, ``lab.faults.power``.
"""
