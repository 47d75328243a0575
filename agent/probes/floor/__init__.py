"""Floor probe: does a direction carry at least what was promised (RFC 9946 fixed rate, RFC 9097)?

Lives here: the probe, one fixed-rate test with its load, and the search that has to agree before a line is
  condemned.
May not live here: decisions: they are in ``rules``, which is pure.
Imported by: the registry ``agent.probes``.
"""
