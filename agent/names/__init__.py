"""Names of peer and broker: their addresses, kept on disk between two runs of the agent.

Lives here: the file beside the journal, and the watch that writes it and looks the names up now and then.
May not live here: the order of addresses (``net.addresses``), and what a silent resolver means
(``agent.probes.reachability``).
Imported by: ``agent.service``, ``agent.commands``.
"""
