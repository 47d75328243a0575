"""Probes: one folder a probe, each one way of measuring.

Lives here: the registry ``PROBES``, and a folder for each probe.
May not live here: code that two probes share: it belongs to ``load``, ``train``, ``line`` or ``task``. No
  probe imports another.
Imported by: ``agent.service``, ``agent.commands``.
"""

from collections.abc import Callable, Mapping

from agent.probes.capacity.probe import CapacityProbe
from agent.probes.floor.probe import FloorProbe
from agent.probes.interface.probe import InterfaceProbe
from agent.probes.path.probe import PathProbe
from agent.probes.reachability.probe import ReachabilityProbe
from agent.probes.stamp.probe import StampProbe
from agent.task.task import Probe, ProbeContext

PROBES: Mapping[str, Callable[[ProbeContext], Probe]] = {
    "floor": FloorProbe.of,
    "stamp": StampProbe,
    "path": PathProbe,
    "interface": InterfaceProbe,
    "capacity": CapacityProbe.of,
    "reachability": ReachabilityProbe,
}
