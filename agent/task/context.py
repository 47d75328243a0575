"""Context from which probes are built.

It is a module of its own because ``agent.probes`` imports every probe: rooms below the probes need it, too.
"""

from collections.abc import Callable

from msgspec import Struct, field

from agent.line.passive_proof import LineWatch
from agent.line.readings import LineCounterSource
from agent.settings.sections import AgentSettings
from agent.train.peer_address import peer_address
from agent.train.peer_last_seen import PeerLastSeen
from agent.train.peer_time import PeerTime
from net.addresses.host import HostAddresses
from wire.records import ClockReading
from wire.stamp.timestamp import ErrorEstimate


class ProbeContext(Struct, frozen=True):
    """Settings, secret, clock and shared instruments that a probe may use.

    ``peer_key`` is the secret shared with the peer and is never shown. ``line_watch`` reads what the site
    itself receives. ``peer_last_seen`` records each answer of the peer. Both are None where nothing uses
    them. ``peer_time`` is learnt by probes that speak STAMP and used by those that sign with the peer's time.
    ``peer_addresses`` and ``broker_addresses`` are what is known of the two hosts' addresses.
    """

    settings: AgentSettings
    peer_key: bytes
    line_counters: LineCounterSource
    clock: Callable[[], ClockReading]
    line_watch: LineWatch | None = None
    peer_time: PeerTime = field(default_factory=PeerTime)
    peer_last_seen: PeerLastSeen | None = None
    peer_addresses: HostAddresses | None = None
    broker_addresses: HostAddresses | None = None

    async def peer_address(self) -> str:
        """Address of the peer to use now. Raises OSError where none is known."""
        addresses = self.peer_addresses
        if addresses is None:
            return self.settings.peer.host
        key = self.peer_key if self.settings.stamp.authenticated else None
        return await peer_address(
            addresses, self.settings.peer.stamp_port, key, lambda: ErrorEstimate.of_clock(self.clock())
        )

    async def peer_host(self) -> str:
        """Address of the peer to use now, or its name where none is known: a test then fails by the name."""
        try:
            return await self.peer_address()
        except OSError:
            return self.settings.peer.host

    @property
    def peer_ahead_s(self) -> float:
        """Peer's time minus our wall clock's, in seconds; 0 while it is not known."""
        return self.peer_time.ahead_s(self.clock())

    def __repr__(self) -> str:
        # Settings and key are secret, and a traceback may print this object.
        return f"ProbeContext({self.settings.site!r})"
