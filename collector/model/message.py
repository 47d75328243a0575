"""Messages from sites and peers after decoding, and the results of their records. Pure.

A message is a :class:`Batch`, a :class:`PeerBatch`, or an :class:`UnreadableMessage`. Each record of a batch
is accepted or refused by its schema. The ledger then gives each record with an identity one result:
committed, conflict or rejected.
"""

from dataclasses import dataclass

from msgspec import Struct

from wire.messages.commands import Resend
from wire.messages.envelope import Envelope, Fault, ReceiptStatus
from wire.messages.peer_tests import PeerTest
from wire.records import Record


@dataclass(frozen=True, slots=True)
class Arrival:
    """One MQTT message as received, at ``received_us`` (Unix microseconds).

    ``boot_us`` is the collector's CLOCK_BOOTTIME at that moment, if it was read.
    """

    topic: str
    payload: bytes
    received_us: int
    boot_us: int | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A measurement that fits its schema; ``raw`` is its JSON as the agent's journal has it."""

    record: Record
    raw: bytes


@dataclass(frozen=True, slots=True)
class AcceptedTest:
    """A peer's record of a test that fits its schema."""

    record: PeerTest
    raw: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that does not fit; without ``identity`` no receipt line can name it."""

    identity: tuple[str, int] | None
    fault: Fault
    raw: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A readable envelope of a site and its measurements, each accepted or refused."""

    arrival: Arrival
    site: str
    envelope: Envelope
    digest: str
    items: tuple[Accepted | Refused, ...]


@dataclass(frozen=True, slots=True)
class PeerBatch:
    """A readable envelope of a peer and its tests, each accepted or refused."""

    arrival: Arrival
    peer: str
    envelope: Envelope
    digest: str
    items: tuple[AcceptedTest | Refused, ...]


@dataclass(frozen=True, slots=True)
class CommandReport:
    """Site of a batch, and the command that it reports as carried out last."""

    site: str
    obeyed: str | None


@dataclass(frozen=True, slots=True)
class UnreadableMessage:
    """A message without a readable envelope. ``site`` or ``peer`` is the topic's, if it is one of ours."""

    arrival: Arrival
    site: str | None
    digest: str
    fault: Fault
    peer: str | None = None


Judged = Batch | PeerBatch | UnreadableMessage


@dataclass(frozen=True, slots=True)
class RecordResult:
    """Result for one record that has an identity. ``redelivered``: an earlier message brought it already."""

    epoch: str
    seq: int
    status: ReceiptStatus
    fault: Fault | None = None
    redelivered: bool = False


class ResendRequest(Struct, frozen=True):
    """Command to every site to send again, and the time of the request (Unix microseconds)."""

    command: Resend
    asked_us: int
