"""The probes: one file each, each one way of measuring, none importing another.

``PROBES`` is all of them by the name that schedules, records and the command line use.
"""

from collections.abc import Callable, Mapping

from agent.probes.base import Probe, Surroundings
from agent.probes.capacity import CapacityProbe
from agent.probes.floor import FloorProbe
from agent.probes.interface import InterfaceProbe
from agent.probes.path import PathProbe
from agent.probes.reachability import ReachabilityProbe
from agent.probes.stamp import StampProbe

PROBES: Mapping[str, Callable[[Surroundings], Probe]] = {
    "floor": FloorProbe.of,
    "stamp": StampProbe,
    "path": PathProbe,
    "interface": InterfaceProbe,
    "capacity": CapacityProbe.of,
    "reachability": ReachabilityProbe,
}
