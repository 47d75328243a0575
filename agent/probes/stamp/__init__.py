"""STAMP probe: latency, loss and delay variation of one DSCP class (RFC 8762, RFC 8972).

Lives here: the probe: from one train to one reading.
May not live here: the train itself, with its socket and clocks (``agent.train``).
Imported by: the registry ``agent.probes``.
"""

from agent.probes.stamp.figures import figures
from agent.probes.stamp.probe import StampProbe
from agent.probes.stamp.settings import problem
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import StampMeasurement

PROBE = ProbeDeclaration(
    record=StampMeasurement,
    build=StampProbe,
    figures=figures,
    interval=Interval("1 min", least="1 ms", most="1 d", or_never=False),
    drop_order=DropOrder.EVERY_MINUTE,
    problem=problem,
)
