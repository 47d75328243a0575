"""Floor probe: does a direction carry at least what was promised (RFC 9946 fixed rate, RFC 9097)?

Lives here: the probe, one fixed-rate test with its load, and the search that has to agree before a line is
  condemned.
May not live here: decisions: they are in ``rules``, which is pure.
Imported by: the registry ``agent.probes``.
"""

from agent.probes.floor.figures import figures
from agent.probes.floor.probe import FloorProbe
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import FloorMeasurement

PROBE = ProbeDeclaration(
    record=FloorMeasurement,
    build=FloorProbe.of,
    figures=figures,
    interval=Interval("1 h", least="10 s", most="1 d", or_never=False),
    drop_order=DropOrder.VERDICT,
)
