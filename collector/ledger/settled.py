"""What became of a message: its receipt, and what views have to learn of it."""

from dataclasses import dataclass

from collector.ingest import Fate, Speaker
from collector.ledger.replacing import Moved
from collector.observation import Observation, PassedOver
from collector.two_sides import Joined
from wire.messages import Reason, Receipt, ReceiptStatus
from wire.peer_tests import PeerReceipt


@dataclass(frozen=True, slots=True)
class Heard:
    """What a peer's message held: how many tests became what, and the newest beginning of one."""

    peer: str
    statuses: tuple[ReceiptStatus, ...]
    newest_us: int | None


@dataclass(frozen=True, slots=True)
class Settled:
    """One message after its commit: the receipt to send, and what views have to learn.

    ``speaker`` is absent where nothing readable came. ``joined`` are the load tests of which the whole group
    completed the second side. ``passed_over``: why measurements are in the ledger and in no view. ``moved``:
    sites whose measurements were placed anew.
    """

    receipt: Receipt | PeerReceipt | None
    observations: tuple[Observation, ...] = ()
    fates: tuple[Fate, ...] = ()
    rejected: tuple[Reason, ...] = ()
    heard: Heard | None = None
    joined: tuple[Joined, ...] = ()
    speaker: Speaker | None = None
    passed_over: tuple[PassedOver, ...] = ()
    moved: tuple[Moved, ...] = ()
