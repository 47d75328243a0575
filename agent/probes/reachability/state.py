"""State of the reachability watch that outlives a run of the agent: a small file beside the journal.

It is written when something is learnt, begins or ends, a few times a month, and then made durable. Whatever
becomes of the agent, an outage whose begin was recorded needs a record of its end.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agent.probes.reachability.rules.first_hop import MOST_TTL
from agent.probes.reachability.rules.network_view import OutageScope, Target
from host import atomic_write
from wire.records import ReachabilityValues

NAME = "reachability.json"
MAX_BYTES = 64 * 1024


class ReachabilityState(Struct, frozen=True):
    """Targets that have ever answered, addresses of gateway and first hop, and open outages."""

    known: tuple[Target, ...] = ()
    gateway: str | None = None
    hop_ttl: Annotated[int, Meta(ge=1, le=MOST_TTL)] | None = None
    hop_address: str | None = None
    outages: dict[OutageScope, ReachabilityValues] = {}


_DECODER = msgspec.json.Decoder(ReachabilityState)


def read(path: Path) -> ReachabilityState:
    """State that an earlier run left; an empty one where none can be read."""
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(MAX_BYTES))
    # A damaged file costs what was learnt, and must not keep the agent from starting.
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ReachabilityState()


def write(path: Path, state: ReachabilityState) -> None:
    """Replace the file durably. Raises OSError if the disk does not take it."""
    atomic_write.replace(path, msgspec.json.encode(state), durably=True)
