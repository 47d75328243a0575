"""What programs need from their machine: settings files, shared keys, log, clocks, load, exit codes.

May live here: what is the same for two or all of agent, peer and collector. May not: what one alone knows.
"""
