"""What the NOC looks at: Grafana dashboards as Python, their generated JSON, and Prometheus rules.

May live here: queries, panels, thresholds, recording and alerting rules. May not: anything that computes what
the collector should expose, or that talks to a server. ``python -m dashboards`` writes ``generated/``.
"""
