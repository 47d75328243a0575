"""Where things are inside a kernel link; the same in every link, for no link sees another."""

from lab.netns.names import End
from wire.records import Direction

INTERFACE = "line"
"""The one device inside the site and inside the far end."""

ADDRESSES = {End.SITE: "10.90.1.2", End.FAR: "10.90.2.2"}
GATEWAYS = {End.SITE: "10.90.1.1", End.FAR: "10.90.2.1"}
SITE_ADDRESS, FAR_ADDRESS = ADDRESSES[End.SITE], ADDRESSES[End.FAR]
LEAVES_BY = {Direction.DOWN: End.SITE, Direction.UP: End.FAR}
"""The router's device, named like what is behind it, at which a direction has its queue."""

WIRES = {Direction.DOWN: "wire-down", Direction.UP: "wire-up"}
"""The router's device that is a direction's wire, where it has one."""
WIRE_TABLES = {Direction.DOWN: 101, Direction.UP: 102}
"""The routing table that leads into it."""

CONTROL_PORT, STAMP_PORT = 24601, 8862
"""Of the measurement peer at the far end: RFC 9946 and STAMP."""
