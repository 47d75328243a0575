"""What programs need from their machine: settings, keys, locks, log, clocks, load, the service manager.

May live here: what is the same for two or all of agent, peer and collector. May not: what one alone knows.
"""
