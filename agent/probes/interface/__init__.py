"""Interface probe: what crossed the line, from its own counters (RFC 2863).

Lives here: the probe, and the sums of a minute in ``rules``, which is pure.
May not live here: reading counters (``agent.line``).
Imported by: the registry ``agent.probes``.
"""

from agent.probes.interface.figures import figures
from agent.probes.interface.probe import InterfaceProbe
from agent.probes.interface.settings import InterfaceSettings, problem
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import InterfaceMeasurement

PROBE = ProbeDeclaration(
    record=InterfaceMeasurement,
    build=InterfaceProbe,
    figures=figures,
    interval=Interval("1 min", least="10 s", most="1 h"),
    drop_order=DropOrder.EVERY_MINUTE,
    section=InterfaceSettings,
    problem=problem,
    by_name_only=True,  # it takes a minute
)
