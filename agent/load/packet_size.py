"""Packet size of load tests: the largest that crosses the path, of each direction.

Loads have packets of one size, without fragments (RFC 9946 §5: DF). On a path with a smaller MTU (RFC 1191)
none of them arrives, at whichever rate. Then the next smaller size is tried, and kept. A peer of another
program decides by itself.
"""

from wire.records import Direction
from wire.udpstp.load import Ending, LoadReport
from wire.udpstp.rates import PACKET_BYTES

SIZES = tuple(sorted((size for size in PACKET_BYTES if size <= 1250), reverse=True))
"""The first is the largest that RFC 9946 §6.1 allows by default; the last crosses every path (RFC 791)."""

# Endings of a test whose set-up was answered, though no packet of its load arrived.
_NOTHING_ARRIVED = (Ending.COMPLETED, Ending.STOPPED_BY_PEER, Ending.WATCHDOG, Ending.BAD_RESPONSE)


class PacketSize:
    """Present size of each direction."""

    def __init__(self) -> None:
        self._tried = dict.fromkeys(Direction, 0)

    def of(self, direction: Direction) -> int:
        """Bytes of each packet at the IP layer."""
        return SIZES[self._tried[direction]]

    def shrinks_after(self, report: LoadReport) -> bool:
        """Take the next smaller size if nothing of a load arrived; False if there is none, or no reason."""
        # A few packets may pass before a router of the path says that they are too large.
        if report.ending not in _NOTHING_ARRIVED or report.received_packets:
            return False
        tried = self._tried[report.direction] + 1
        # Nothing arrives at any size: it is not the size.
        self._tried[report.direction] = tried % len(SIZES)
        return tried < len(SIZES)
