"""Settings of the capacity probe: section ``capacity`` of ``agent.yaml``."""

from msgspec import Struct

from agent.settings import hours
from agent.settings.sections import FLOOR_LEAST, FLOOR_MOST, AgentSettings
from host.units import BitRate, ByteSize, Seconds
from wire.records import Algorithm


class CapacitySettings(Struct, frozen=True):
    """Section ``capacity``: highest rate and duration of a search, and what it may cost the line.

    A search may start in ``hours``, local time. ``day_budget`` and ``month_budget`` are bytes of both
    directions together. A search ends before it exceeds them. With less than 20 MB left it is skipped, and
    recorded as such.
    """

    highest: BitRate = BitRate(1_000_000_000)
    duration: Seconds = Seconds(10)
    algorithm: Algorithm = Algorithm.B
    hours: str = "01:00-05:00"
    # One search at 1 Gbit/s in each direction, 1.4 GB each.
    day_budget: ByteSize = ByteSize(3_000_000_000)
    month_budget: ByteSize = ByteSize(6_000_000_000)


def problem(chosen: AgentSettings) -> str | None:
    """The first broken rule in words, or None."""
    capacity = chosen.section(CapacitySettings)
    if found := hours.problem(capacity.hours):
        return f"capacity.hours: {found}"
    if not FLOOR_LEAST <= capacity.highest <= FLOOR_MOST:
        return "capacity.highest: out of range: 1 Mbit/s to 1 Gbit/s"
    if not 5 <= capacity.duration <= 60 or capacity.duration % 1:
        return "capacity.duration: out of range: whole seconds, 5 s to 60 s"
    if capacity.month_budget < capacity.day_budget:
        return "capacity.month_budget: less than capacity.day_budget"
    return None
