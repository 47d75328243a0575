"""What 0.1 wrote is read by today's programs, and what they write by 0.1's own decoders."""

from pathlib import Path

import msgspec
import pytest

from collector import ingest
from collector.ingest import Accepted, Arrival
from collector.ledger.commit import Ledger
from collector.ledger.settled import Settled
from tests.collector import examples
from tests.fuzz.text_targets import CLOCK, GAP, OUTAGE
from tests.versions.v0_1.wire import messages as old_messages
from tests.versions.v0_1.wire import peer_tests as old_peer_tests
from tests.versions.v0_1.wire import records as old_records
from wire import messages, peer_tests
from wire.messages import GapReason, Presence, PresenceState, Receipt, ReceiptStatus
from wire.peer_tests import PeerReceipt
from wire.records import Purpose, UnknownMeasurement

RECORDED = Path(__file__).parent / "v0_1" / "recorded"
SITE, PEER = examples.SITE, "pop-1"


def recorded(name: str) -> bytes:
    return (RECORDED / f"{name}.json").read_bytes()


def commit(ledger: Ledger, topic: str, payload: bytes) -> Settled:
    (settled,) = ledger.commit([ingest.judge(Arrival(topic, payload, examples.NOW_US))])
    return settled


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.db")


def test_an_old_envelope_is_read_whole_and_nothing_in_it_changes() -> None:
    batch = ingest.judge(Arrival(f"qos/v1/{SITE}/results", recorded("envelope"), examples.NOW_US))
    assert isinstance(batch, ingest.Batch)
    assert len(batch.items) == 12
    for item in batch.items:
        assert isinstance(item, Accepted)
        assert not isinstance(item.record, UnknownMeasurement)
        assert messages.encode(item.record) == item.raw
    assert (batch.envelope.gaps, batch.envelope.obeyed) == ((), None)


def test_an_old_agent_understands_its_receipt(ledger: Ledger) -> None:
    """Ours have more to say; what it does not know it passes over."""
    payload = recorded("envelope")
    for status in (ReceiptStatus.COMMITTED, ReceiptStatus.DUPLICATE):
        receipt = commit(ledger, f"qos/v1/{SITE}/results", payload).receipt
        assert isinstance(receipt, Receipt)
        told = msgspec.structs.replace(
            receipt, declared=(messages.EpochRange(epoch=examples.EPOCH, first=20, last=30),)
        )
        read = old_messages.decode(messages.encode(told), old_messages.Receipt, SITE)
        assert isinstance(read, old_messages.Receipt), read
        assert read.payload == old_messages.digest(payload)
        assert [(line.first, line.last, line.status) for line in read.lines] == [(1, 12, status)]
    ledger.close()


def test_an_old_peer_is_heard_and_understands_its_receipt(ledger: Ledger) -> None:
    settled = commit(ledger, f"qos/v1/peers/{PEER}/tests", recorded("peer-envelope"))
    assert isinstance(settled.receipt, PeerReceipt)
    read = old_peer_tests.decode_peer(messages.encode(settled.receipt), old_peer_tests.PeerReceipt, PEER)
    assert isinstance(read, old_peer_tests.PeerReceipt), read
    assert [line.status for line in read.lines] == ["committed", "committed"]
    ledger.close()


@pytest.mark.parametrize("state", PresenceState)
def test_old_presence_is_read(state: PresenceState) -> None:
    read = messages.decode(recorded(f"presence-{state}"), Presence, SITE)
    assert isinstance(read, Presence)
    assert read.state is state


def test_an_old_collectors_receipts_are_read() -> None:
    receipt = messages.decode(recorded("receipt"), Receipt, SITE)
    assert isinstance(receipt, Receipt)
    assert [(line.first, line.last, line.status) for line in receipt.lines] == [
        (1, 11, ReceiptStatus.COMMITTED),
        (12, 12, ReceiptStatus.REJECTED),
    ]
    assert receipt.declared == (), "it holds no gaps, so they are declared until a newer one does"
    refusing = messages.decode(recorded("receipt-refusing"), Receipt, SITE)
    assert isinstance(refusing, Receipt)
    assert refusing.reason is messages.Reason.MALFORMED
    read = peer_tests.decode_peer(recorded("peer-receipt"), PeerReceipt, PEER)
    assert isinstance(read, PeerReceipt)
    assert len(read.lines) == 1


def test_an_old_collector_keeps_what_it_does_not_know() -> None:
    """Gaps and obedience it passes over; new probes and purposes it keeps as unknown."""
    known = [
        examples.floor(1),
        examples.stamp(2),
        examples.capacity(3),
        examples.interface(4),
        examples.path(5),
    ]
    event = examples.stamp(6, purpose=Purpose.EVENT)
    new = [event, msgspec.structs.replace(OUTAGE, seq=7), msgspec.structs.replace(CLOCK, seq=8)]
    payload = examples.payload(*known, *new, gaps=(GAP,), obeyed="resend-1")
    envelope = old_messages.decode(payload, old_messages.Envelope, SITE)
    assert isinstance(envelope, old_messages.Envelope), envelope
    read = [old_messages.decode_measurement(raw) for raw in envelope.measurements]
    kinds = [isinstance(one, old_records.UnknownMeasurement) for one in read]
    assert kinds == [False] * len(known) + [True] * len(new), read
    assert [one.seq for one in read] == list(range(1, 9))
    assert [one.purpose for one in read[5:]] == ["event", "scheduled", "scheduled"]


@pytest.mark.parametrize("reason", GapReason)
def test_an_old_collector_takes_an_envelope_of_gaps_alone(reason: GapReason) -> None:
    gap = msgspec.structs.replace(GAP, reason=reason)
    read = old_messages.decode(examples.payload(gaps=(gap,)), old_messages.Envelope, SITE)
    assert isinstance(read, old_messages.Envelope), read
    assert read.measurements == ()


def test_an_old_collector_reads_todays_peer_and_presence() -> None:
    told = examples.peer_arrival(examples.peer_test()).payload
    read = old_peer_tests.decode_peer(told, old_peer_tests.PeerEnvelope, PEER)
    assert isinstance(read, old_peer_tests.PeerEnvelope)
    assert isinstance(old_peer_tests.decode_test(read.tests[0]), old_peer_tests.PeerTest)
    presence = Presence(
        schema=messages.SCHEMA, site=SITE, state=PresenceState.ONLINE, agent="9.9", since_us=1
    )
    assert isinstance(
        old_messages.decode(messages.encode(presence), old_messages.Presence, SITE), old_messages.Presence
    )


def test_the_schema_is_still_the_first() -> None:
    """Raised, every older collector refuses everything. A new outcome or direction would have to."""
    assert messages.SCHEMA == old_messages.SCHEMA
