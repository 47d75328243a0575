"""Decisions about outages: what is out, since when, and where. Pure.

Lives here: the outage rules, who is asked when, silence, and the first hop beyond the site.
May not live here: sockets, files and clocks.
Imported by: ``agent.probes.reachability``; ``agent.commands`` for words.
"""
