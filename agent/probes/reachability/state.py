"""What the reachability watch keeps for the next run of the agent, in a small file beside the journal.

It is written when something is learnt, begins or ends, a few times a month, and then made durable: an outage
that was told to begin is to be told to end, whatever became of the agent meanwhile.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from agent.probes.reachability.rules.first_hop import MOST_TTL
from agent.probes.reachability.rules.outages import Target, Track
from host import atomic_write as whole_file
from wire.records import ReachabilityValues

NAME = "reachability.json"
MAX_BYTES = 64 * 1024


class ReachabilityState(Struct, frozen=True):
    """Who has ever answered, the gateway that did, the hop beyond it, and the outages that are open."""

    known: tuple[Target, ...] = ()
    gateway: str | None = None
    hop_ttl: Annotated[int, Meta(ge=1, le=MOST_TTL)] | None = None
    hop_address: str | None = None
    outages: dict[Track, ReachabilityValues] = {}


_DECODER = msgspec.json.Decoder(ReachabilityState)


def read(path: Path) -> ReachabilityState:
    """What an earlier run left; nothing where it left none that can be read."""
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(MAX_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ReachabilityState()


def write(path: Path, state: ReachabilityState) -> None:
    """Replace the file, durably. Raises OSError if the disk does not take it."""
    whole_file.replace(path, msgspec.json.encode(state), durably=True)
