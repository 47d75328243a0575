"""Which router is the first beyond the site that says so when a packet's time to live is over at it.

Learnt while the line is well: the lowest time to live, beyond the gateway's own, at which a router answers.
One that says nothing is passed over, and what is told of the access line then reaches to the next. No I/O.
"""

from msgspec import Struct

MOST_TTL = 6
"""Access networks are no deeper; a router farther out would say little of the line."""


class FirstHop(Struct):
    """``lowest``: the first time to live that may be the hop's, 1 where this machine has the line itself."""

    lowest: int = 2
    ttl: int | None = None
    address: str | None = None

    def asks(self) -> range:
        """The times to live to send with: up to the hop, or as far as one may be if none is known."""
        return range(self.lowest, (self.ttl or MOST_TTL) + 1)

    def takes(self, ttl: int, sender: str) -> bool:
        """A router said that a packet's time was over: whether it is the hop, or a nearer one that is now."""
        if self.ttl is not None and ttl > self.ttl:
            return False
        self.ttl, self.address = ttl, sender
        return True

    def forget(self, lowest: int) -> None:
        """Another way, or a hop that no longer speaks: it is learnt anew."""
        self.lowest, self.ttl, self.address = lowest, None, None
