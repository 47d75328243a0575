"""The metric families of a site: what each is called, and which samples a site has of it.

May live here: families, from live state to samples. May not: text formats, and state of their own.
"""

from collector.metrics.families import completeness, counts, floor, latency, line, outages
from collector.metrics.families.family import Family

FAMILIES: tuple[Family, ...] = (
    *floor.FAMILIES,
    *outages.FAMILIES,
    *latency.FAMILIES,
    *line.FAMILIES,
    *counts.FAMILIES,
    *completeness.FAMILIES,
)
