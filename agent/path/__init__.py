"""The path helper: the program with one right that sends the path probe's packets, and how it is spoken to.

May live here: the program, its sockets and packets, and what starts and asks it. May not: keys and what a
path means (both are ``agent.probes.path``'s), nor what brings more of the agent than the packets need.
"""
