"""What became of a message: its receipt, and what views have to learn of it."""

from dataclasses import dataclass

from collector.ingest.decode import Fate, Speaker
from collector.ledger.clock.redating import Moved
from collector.model.observation import Observation, PassedOver
from collector.model.peer_comparison import ComparedTest, PeerMessage
from wire.messages.envelope import Reason, Receipt


@dataclass(frozen=True, slots=True)
class Settled:
    """One message after its commit: the receipt to send on which topic, and what views have to learn.

    ``speaker`` is absent where nothing readable came. ``joined`` are the load tests of which the whole group
    completed the second side. ``passed_over``: why measurements are in the ledger and in no view. ``moved``:
    sites whose measurements were placed anew.
    """

    receipt: Receipt | None
    observations: tuple[Observation, ...] = ()
    fates: tuple[Fate, ...] = ()
    rejected: tuple[Reason, ...] = ()
    heard: PeerMessage | None = None
    joined: tuple[ComparedTest, ...] = ()
    speaker: Speaker | None = None
    passed_over: tuple[PassedOver, ...] = ()
    moved: tuple[Moved, ...] = ()
    topic: str | None = None
