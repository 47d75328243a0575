"""Changes of an agent's wall clock. The ledger corrects measurement times by them; no view shows them."""

from collector.kinds.kind import MeasurementKind
from wire.records import ClockMeasurement, ClockValues

CLOCK = MeasurementKind(
    record=ClockMeasurement, values=ClockValues, attempt=("wall clock:", "horloge :"), is_event=True
)
