"""The site's line, whoever uses it: its counters, what of them is the site's own, and who may load it when.

May live here: sources of counters, what is told from them, and the line as something that probes share. May
not: how the line is loaded (``agent.load.udpstp_client``), and whether it carries enough (``agent.floor``).
"""
