"""What every program needs from its machine: settings files, log, clock state, exit codes.

May live here: what is the same for agent, peer and collector. May not: anything one of them alone knows.
"""
