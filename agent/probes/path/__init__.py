"""Path probe: the routers on the way to the peer, the fate of the DSCP mark, and the path MTU.

Lives here: the probe, the helper process with CAP_NET_RAW (``child``, ``packets``, ``sockets``), and how the
  agent asks it.
May not live here: scapy anywhere but in ``packets``: it takes 89 MB and stays out of the resident agent.
Imported by: the registry ``agent.probes``, ``agent.commands``.
"""
