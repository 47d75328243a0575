"""Scenarios: which faults come when, and whether the account closes.

Lives here: kills, disk images, bad connections, a month offline, the soak.
May not live here: processes (``processes``) and counting (``accounts``).
Imported by: ``lab.faults.parts``, ``lab.__main__``.
"""
