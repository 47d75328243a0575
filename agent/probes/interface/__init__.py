"""Interface probe: what crossed the line, from its own counters (RFC 2863).

Lives here: the probe, and the sums of a minute in ``rules``, which is pure.
May not live here: reading counters (``agent.line``).
Imported by: the registry ``agent.probes``.
"""
