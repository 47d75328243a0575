"""Clocks: what is known of each boot of a site, and re-dating when more is known.

Lives here: boots with their anchors, and re-dating in portions.
May not live here: the arithmetic of clock correction (``collector.model.clock_correction``). May read, never
  imports ``write``.
Imported by: ``collector.ledger.write``.
"""
