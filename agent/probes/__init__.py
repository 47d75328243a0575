"""The probes: one file each, each one way of measuring, none importing another.

``PROBES`` is all of them by the name that schedules, records and the command line use.
"""

from collections.abc import Callable, Mapping

from agent.probes.capacity.probe import CapacityProbe
from agent.probes.floor.probe import FloorProbe
from agent.probes.interface.probe import InterfaceProbe
from agent.probes.path.probe import PathProbe
from agent.probes.reachability.probe import ReachabilityProbe
from agent.probes.stamp.probe import StampProbe
from agent.task.task import Probe, Surroundings

PROBES: Mapping[str, Callable[[Surroundings], Probe]] = {
    "floor": FloorProbe.of,
    "stamp": StampProbe,
    "path": PathProbe,
    "interface": InterfaceProbe,
    "capacity": CapacityProbe.of,
    "reachability": ReachabilityProbe,
}
