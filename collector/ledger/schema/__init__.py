"""The ledger's tables. Typed columns are the evidence; what repeats is a key into a small table.

Times are Unix microseconds of the wall clock unless named ``boot``; rates bit/s at the IP layer; an unknown
value is NULL. Words of closed vocabularies, peers, schedules and boots are keys into ``names``, so that a
row of a year of measurements stays small. ``measurements.key`` grows in the order of commitment.
"""

from collector.ledger.schema.columns import metadata
from collector.ledger.schema.measurements import (
    batches,
    boots,
    conflicts,
    epochs,
    gaps,
    measurements,
    names,
    payloads,
    rejects,
    resends,
    series,
    sites,
    version,
)
from collector.ledger.schema.sides import peer_gaps, peer_tests, two_sides
from collector.ledger.schema.values import (
    capacity_intervals,
    capacity_values,
    clock_values,
    floor_series,
    floor_tests,
    floor_values,
    interface_values,
    latency_under_load,
    path_hops,
    path_values,
    reachability_values,
    stamp_values,
    unknown_values,
)

SCHEMA_VERSION = 4

__all__ = [
    "SCHEMA_VERSION",
    "batches",
    "boots",
    "capacity_intervals",
    "capacity_values",
    "clock_values",
    "conflicts",
    "epochs",
    "floor_series",
    "floor_tests",
    "floor_values",
    "gaps",
    "interface_values",
    "latency_under_load",
    "measurements",
    "metadata",
    "names",
    "path_hops",
    "path_values",
    "payloads",
    "peer_gaps",
    "peer_tests",
    "reachability_values",
    "rejects",
    "resends",
    "series",
    "sites",
    "stamp_values",
    "two_sides",
    "unknown_values",
    "version",
]
