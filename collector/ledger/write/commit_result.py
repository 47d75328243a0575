"""Result of the commit of one message: its receipt, and values for the views."""

from dataclasses import dataclass

from collector.ingest.decode import Fate, Speaker
from collector.ledger.clock.redating import Moved
from collector.model.observation import Observation, PassedOver
from collector.model.peer_comparison import ComparedTest, PeerMessage
from wire.messages.envelope import Reason, Receipt


@dataclass(frozen=True, slots=True)
class CommitResult:
    """Result of one committed message: its receipt with topic, and values for the views.

    ``speaker`` is None if nothing readable arrived. ``compared`` are the load tests that the whole group gave
    their second record. ``passed_over``: reasons that keep committed measurements out of the views.
    ``moved``: sites whose measurements were re-dated.
    """

    receipt: Receipt | None
    observations: tuple[Observation, ...] = ()
    fates: tuple[Fate, ...] = ()
    rejected: tuple[Reason, ...] = ()
    peer_message: PeerMessage | None = None
    compared: tuple[ComparedTest, ...] = ()
    speaker: Speaker | None = None
    passed_over: tuple[PassedOver, ...] = ()
    moved: tuple[Moved, ...] = ()
    topic: str | None = None
