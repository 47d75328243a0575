"""Changes of an agent's wall clock. The ledger corrects measurement times by them; no view shows them."""

from collector.kinds.kind import Kind
from wire.records import ClockMeasurement, ClockValues

CLOCK = Kind(
    record=ClockMeasurement,
    values=ClockValues,
    attempt=("wall clock:", "horloge :"),
    is_event=True,
)
