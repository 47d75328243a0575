"""Path probe: the routers on the way to the peer, the fate of the DSCP mark, and the path MTU.

Lives here: the probe, the helper process with CAP_NET_RAW (``child``, ``packets``, ``sockets``), and how the
  agent asks it.
May not live here: scapy anywhere but in ``packets``: it takes 89 MB and stays out of the resident agent.
Imported by: the registry ``agent.probes``, ``agent.commands``.
"""

from agent.probes.path.figures import figures
from agent.probes.path.probe import PathProbe
from agent.probes.path.settings import PathSettings, problem
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import PathMeasurement

PROBE = ProbeDeclaration(
    record=PathMeasurement,
    build=PathProbe,
    figures=figures,
    interval=Interval("1 d", least="15 min", most="31 d"),
    drop_order=DropOrder.SELDOM,
    section=PathSettings,
    problem=problem,
    by_name_only=True,  # it needs a right of its own
)
