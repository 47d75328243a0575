"""What a probe is built from.

It stands outside ``agent.probes``, which brings every probe: what probes use can be built from it, too.
"""

from collections.abc import Callable

from msgspec import Struct, field

from agent.line.passive_proof import LineWatch
from agent.line.readings import LineCounterSource
from agent.settings.sections import AgentSettings
from agent.train.peer_last_seen import Hearing
from agent.train.peer_time import PeerTime
from wire.records import ClockReading


class Surroundings(Struct, frozen=True):
    """What a probe may be built from. ``peer_key`` is the secret shared with the peer: never shown.

    ``line_watch`` sees what the site itself receives, ``hearing`` is told of each answer of the peer; None
    where nothing is to be watched. ``peer_time`` is what probes that speak STAMP learn for those that sign
    with the peer's time.
    """

    settings: AgentSettings
    peer_key: bytes
    line_counters: LineCounterSource
    clock: Callable[[], ClockReading]
    line_watch: LineWatch | None = None
    peer_time: PeerTime = field(default_factory=PeerTime)
    hearing: Hearing | None = None

    @property
    def peer_ahead_s(self) -> float:
        """The peer's time less our wall clock's, in seconds, as far as it is known."""
        return self.peer_time.ahead_s(self.clock())

    def __repr__(self) -> str:
        return f"Surroundings({self.settings.site!r})"
