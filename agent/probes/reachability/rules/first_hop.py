"""First hop beyond the site: the nearest router that answers when a time to live expires at it. Pure.

It is learnt while the line is well: the lowest time to live, beyond the gateway's own, at which a router
answers. A router that never answers is passed over; the access line then reaches as far as the next one.
"""

from msgspec import Struct

# Highest time to live to try: access networks are not deeper, and farther routers say little of the line.
MOST_TTL = 6


class FirstHop(Struct):
    """Time to live and address of the first hop, None until a router has answered.

    ``lowest_ttl`` is the first that may be the hop's: 2 behind a gateway, 1 where this machine has the line.
    """

    lowest_ttl: int = 2
    ttl: int | None = None
    address: str | None = None

    def ttls(self) -> range:
        """Times to live to poll with: up to the hop, or up to ``MOST_TTL`` while none is known."""
        return range(self.lowest_ttl, (self.ttl or MOST_TTL) + 1)

    def take(self, ttl: int, sender: str) -> bool:
        """Take an answer (ICMP time exceeded) of ``sender``.

        Returns whether it is the hop, or nearer than it.
        """
        if self.ttl is not None and ttl > self.ttl:
            return False
        self.ttl, self.address = ttl, sender
        return True

    def forget(self, lowest_ttl: int) -> None:
        """Learn the hop again: the egress has changed, or the hop no longer answers."""
        self.lowest_ttl, self.ttl, self.address = lowest_ttl, None, None
