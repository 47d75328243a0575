"""Settings of the interface probe: section ``interface`` of ``agent.yaml``."""

from msgspec import Struct

from agent.settings.sections import AgentSettings
from host.units import Seconds


class InterfaceSettings(Struct, frozen=True):
    """Section ``interface``: interval between readings of the counters within one record."""

    read_every: Seconds = Seconds(10)


def problem(chosen: AgentSettings) -> str | None:
    """The first broken rule in words, or None."""
    in_range = 1 <= chosen.section(InterfaceSettings).read_every <= (chosen.every_s("interface") or 3600)
    return None if in_range else "interface.read_every: out of range: 1 s to schedule.interface"
