"""Incidents: several outages with one cause, found by place and time. Pure.

Lives here: correlation, the outages of one live site, the incidents of the present, and those of a month.
May not live here: SQL, rendering, clocks.
Imported by: ``collector.pages``, ``collector.metrics``, ``collector.service``.
"""
