"""Capacity probe: a search for the Maximum IP-Layer Capacity (RFC 9097, RFC 9946).

Lives here: the probe and its byte budget.
May not live here: figures of a search: they are in ``agent.load.rules.capacity``, shared with the floor.
Imported by: the registry ``agent.probes``, ``agent.commands``.
"""

from agent.probes.capacity.figures import figures
from agent.probes.capacity.probe import CapacityProbe
from agent.probes.capacity.settings import CapacitySettings, problem
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import CapacityMeasurement

PROBE = ProbeDeclaration(
    record=CapacityMeasurement,
    build=CapacityProbe.of,
    figures=figures,
    interval=Interval("30 d", least="1 h", most="366 d"),
    drop_order=DropOrder.SELDOM,
    section=CapacitySettings,
    problem=problem,
    by_name_only=True,  # it fills the line
)
