"""Result of a commit: what it gives receipts, counters and views."""

from collections.abc import Iterable
from dataclasses import dataclass

from collector.ledger.clock.redating import RedatedSite
from collector.model.message import CommandReport, RecordResult
from collector.model.observation import Observation, PassedOver
from collector.model.peer_comparison import ComparedTest, PeerMessage
from wire.messages.envelope import Reason, Receipt


@dataclass(frozen=True, slots=True)
class MessageResult:
    """Result of one committed message.

    ``receipt`` has a ``topic`` if the message's own topic names a sender. ``records`` are the results of
    records with an identity, ``rejected`` the reasons of all that were rejected. ``passed_over``: reasons
    that keep committed measurements out of the views. ``command_report`` is a site's.
    """

    receipt: Receipt | None
    topic: str | None
    records: tuple[RecordResult, ...] = ()
    rejected: tuple[Reason, ...] = ()
    observations: tuple[Observation, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    command_report: CommandReport | None = None
    peer_message: PeerMessage | None = None


@dataclass(frozen=True, slots=True)
class CommitResult:
    """Result of one transaction, or of several in their order.

    ``messages`` are in the order of the group. ``compared`` are load tests that now have both records, or
    whose second record was given up. ``redated`` are sites with measurements of another time than before.
    ``shift_us`` is the change of the collector's own time, if another offset dates arrivals from now on.
    """

    messages: tuple[MessageResult, ...] = ()
    compared: tuple[ComparedTest, ...] = ()
    redated: tuple[RedatedSite, ...] = ()
    shift_us: int = 0


def combined(results: Iterable[CommitResult]) -> CommitResult:
    """Combine the results of transactions that followed each other."""
    found = list(results)
    return CommitResult(
        tuple(message for one in found for message in one.messages),
        tuple(compared for one in found for compared in one.compared),
        tuple(redated for one in found for redated in one.redated),
    )
