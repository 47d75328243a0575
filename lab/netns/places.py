"""Addresses, ports and device names inside a kernel link. All links use the same: no link sees another."""

from lab.netns.names import LinkNode
from wire.records import Direction

# The only device at the site and at the far end.
INTERFACE = "line"

ADDRESSES = {LinkNode.SITE: "10.90.1.2", LinkNode.FAR: "10.90.2.2"}
GATEWAYS = {LinkNode.SITE: "10.90.1.1", LinkNode.FAR: "10.90.2.1"}
SITE_ADDRESS, FAR_ADDRESS = ADDRESSES[LinkNode.SITE], ADDRESSES[LinkNode.FAR]
# The router's device that has a direction's queue. Its name is that of the node behind it.
LEAVES_BY = {Direction.DOWN: LinkNode.SITE, Direction.UP: LinkNode.FAR}

# The router's TUN device that delays a direction, where it has one.
WIRES = {Direction.DOWN: "wire-down", Direction.UP: "wire-up"}
# The routing table that leads into it.
WIRE_TABLES = {Direction.DOWN: 101, Direction.UP: 102}

# The measurement peer at the far end: RFC 9946 and STAMP.
CONTROL_PORT, STAMP_PORT = 24601, 8862
