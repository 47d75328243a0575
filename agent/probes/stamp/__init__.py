"""STAMP probe: latency, loss and delay variation of one DSCP class (RFC 8762, RFC 8972).

Lives here: the probe: from one train to one reading.
May not live here: the train itself, with its socket and clocks (``agent.train``).
Imported by: the registry ``agent.probes``.
"""
