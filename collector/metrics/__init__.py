"""Metrics: the fleet as Prometheus text, rendered per site when the site changes. Pure.

Lives here: the exposition, and the metric families in ``families``.
May not live here: HTTP (``collector.service``), and the process's own metrics (``collector.model``).
Imported by: ``collector.service``.
"""
