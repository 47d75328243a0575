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
from collector.ledger.schema.peer_comparisons import peer_comparisons, peer_gaps, peer_tests
from collector.ledger.schema.values import VALUES, ValueTables, unknown_values

SCHEMA_VERSION = 1

__all__ = [
    "SCHEMA_VERSION",
    "VALUES",
    "ValueTables",
    "batches",
    "boots",
    "conflicts",
    "epochs",
    "gaps",
    "measurements",
    "metadata",
    "names",
    "payloads",
    "peer_comparisons",
    "peer_gaps",
    "peer_tests",
    "rejects",
    "resends",
    "series",
    "sites",
    "unknown_values",
    "version",
]
