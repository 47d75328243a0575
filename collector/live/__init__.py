"""Live state: what is known of each site now, by measurement time. Pure.

Lives here: site state, the fleet, notices, the collector's own blackout, and the peers.
May not live here: SQL and clocks. All of it can be rebuilt from the ledger.
Imported by: ``collector.incidents``, ``collector.pages``, ``collector.metrics``, ``collector.service``.
"""
