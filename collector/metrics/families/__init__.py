"""Metric families: name, type, help, and the samples that a site has of each. Pure.

Lives here: one module a subject, from live state to samples.
May not live here: text formats (``exposition``), and state of their own.
Imported by: ``collector.metrics``, ``collector.service``, tests of documents and dashboards.
"""

from collector.metrics.families import completeness, counts, floor, of_kinds, outages
from collector.metrics.families.family import Family

FAMILIES: tuple[Family, ...] = (
    *floor.FAMILIES,
    *outages.FAMILIES,
    *of_kinds.FAMILIES,
    *counts.FAMILIES,
    *completeness.FAMILIES,
)
