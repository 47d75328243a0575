"""Cost of the searches for the capacity, before and after they are run by hand."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agent.probes.capacity.byte_budget import ByteBudget
from agent.probes.capacity.probe import CapacityProbe
from agent.task.task import Probe, ProbeContext, Task
from host.units import amount, counted
from wire.records import CapacityMeasurement, ClockReading, Measurement

UNRECORDED = (
    "not recorded: the file beside the journal cannot be written, and the next search spends it again"
)


@dataclass(frozen=True, slots=True)
class Searches:
    """Searches of one call: their number, and the most bytes that they take if no budget ends them."""

    number: int
    worst_case: int
    budget: ByteBudget
    clock: Callable[[], ClockReading]

    @classmethod
    def among(cls, tasks: Mapping[Task, Probe], context: ProbeContext) -> "Searches | None":
        """Searches among ``tasks``, None without any."""
        each = [probe for probe in tasks.values() if isinstance(probe, CapacityProbe)]
        if not each:
            return None
        # The probe's own: on a full disk it alone knows what was spent.
        return cls(len(each), sum(probe.worst_case for probe in each), each[0].budget, context.clock)

    def may_cost(self) -> str:
        """Sentence to print before the first search."""
        left = self.budget.left(self.clock())
        most = amount(min(self.worst_case, left.byte_count))
        directions = counted(self.number, "direction")
        return f"capacity: fills the line in {directions} and may cost up to {most}; {left.words}"

    def did_cost(self, records: Iterable[Measurement]) -> str:
        """Sentence to print after the last search: bytes of both directions, and the rest of the budget."""
        spent = sum(
            record.bytes_sent + record.bytes_received
            for record in records
            if isinstance(record, CapacityMeasurement)
        )
        left = self.budget.left(self.clock())
        text = f"capacity: used {amount(spent)}, {amount(left.byte_count)} may still be spent; {left.words}"
        return text if self.budget.is_recorded else f"{text}; {UNRECORDED}"
