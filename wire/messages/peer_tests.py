"""The peer's own record of each load test that it served.

The agent's record and the peer's have the session id in common (RFC 9946 gives it no field of its own:
``wire.udpstp.load.session_id``). Peers send them in envelopes of their own on ``qos/v1/peers/<peer>/tests``;
receipts come on ``qos/v1/peers/<peer>/receipts``.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from wire.messages.envelope import Fault, decoding_fault
from wire.records import ClockReading, Count, Direction, Epoch, Micros, Name, Rate, Sequence, Session

KeyId = Annotated[int, Meta(ge=0, le=255)]
Row = Annotated[int, Meta(ge=0, le=0xFFFF)]


class TestKind(StrEnum):
    """Kind of load: at one rate, or by the load-rate-adjustment search (RFC 9946 section 5.1)."""

    __test__ = False  # the name is the domain's; pytest is not to collect it

    FIXED = "fixed"
    SEARCH = "search"


class PeerTest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One load test as the peer served it; of refused set-ups there is none.

    Identity is (peer, epoch, seq); the peer's journal gives epoch and seq. Counts are of Load PDUs of the
    test, bytes at the IP layer. The peer's own counts are exact: ``sent_*`` in the direction down,
    ``received_*`` in the direction up. The other pair is inferred, and absent without a source.
    Down, ``received_*`` are sums over the agent's Status PDUs. Up, ``sent_packets`` is the highest sequence
    number that arrived. ``lost_packets`` is the load receiver's own count. ``outcome`` is
    a word of ``wire.udpstp.server.ServerOutcome``, or a newer peer's. ``row`` is the sending-rate row (of a
    search its first), ``planned_bps`` that row's IP-layer rate. ``start`` is the activation of the test,
    ``duration_us`` the time from then to its end. ``load_us`` lies between first and last Load PDU, so that
    bytes divided by it are a mean rate.

    Where a set-up was never followed by an activation, ``start`` is the time of the set-up. Such a test has
    no ``row`` and no counts. Its ``kind`` is ``fixed``, because nobody asked for one yet.
    """

    epoch: Epoch
    seq: Sequence
    session: Session
    key_id: KeyId
    direction: Direction
    kind: TestKind
    outcome: Name
    start: ClockReading
    duration_us: Micros
    row: Row | None = None
    planned_bps: Rate | None = None
    load_us: Micros | None = None
    sent_packets: Count | None = None
    sent_bytes: Count | None = None
    received_packets: Count | None = None
    received_bytes: Count | None = None
    lost_packets: Count | None = None


_TEST = msgspec.json.Decoder(PeerTest)


def decode_test(raw: bytes | msgspec.Raw) -> PeerTest | Fault:
    """Decode one test of an envelope."""
    try:
        return _TEST.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return decoding_fault(error)
