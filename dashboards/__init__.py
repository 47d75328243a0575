"""Dashboards: Grafana dashboards as Python, their generated JSON, recording and alerting rules.

Lives here: what a NOC looks at, written against the metrics of ``docs/metrics.md``.
May not live here: metrics of its own.
Imported by: ``make`` and tests only.
"""
