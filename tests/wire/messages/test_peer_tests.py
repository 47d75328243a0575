import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import envelope as messages
from wire.messages import peer_tests
from wire.messages.envelope import Fault, Reason, ReceiptStatus
from wire.messages.peer_tests import (
    PeerEnvelope,
    PeerReceipt,
    PeerReceiptLine,
    PeerTest,
    TestKind,
    decode_peer,
)
from wire.records import ClockReading, Direction

CLOCK = ClockReading(wall_us=1_775_000_000_000_000, boot_us=5, boot_id="b", synchronised=True)
TEST = PeerTest(
    session="69c9e1f0-1a2b",
    key_id=1,
    direction=Direction.DOWN,
    kind=TestKind.FIXED,
    outcome="completed",
    start=CLOCK,
    duration_us=2_010_000,
    row=8,
    planned_bps=8e6,
    load_us=1_998_000,
    sent_packets=1400,
    sent_bytes=2_000_000,
    lost_packets=3,
)


def body(*tests: PeerTest, **changes: object) -> bytes:
    made = peer_tests.envelope("pop-1", "0.1.0", CLOCK, tuple(messages.encode(test) for test in tests))
    return messages.encode(msgspec.structs.replace(made, **changes))


def test_an_envelope_round_trips_with_its_tests() -> None:
    decoded = decode_peer(body(TEST), PeerEnvelope, "pop-1")
    assert isinstance(decoded, PeerEnvelope)
    assert [peer_tests.decode_test(raw) for raw in decoded.tests] == [TEST]


def test_what_a_peer_could_not_know_is_absent() -> None:
    assert not {"received_packets", "received_bytes"} & json.loads(messages.encode(TEST)).keys()


def test_a_receipt_round_trips() -> None:
    line = PeerReceiptLine(
        session=TEST.session,
        direction=TEST.direction,
        start_us=TEST.start.wall_us,
        status=ReceiptStatus.COMMITTED,
    )
    receipt = PeerReceipt(schema=1, peer="pop-1", payload=messages.digest(b""), lines=(line,))
    assert decode_peer(messages.encode(receipt), PeerReceipt, "pop-1") == receipt


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (b"", Reason.MALFORMED, "Input data was truncated"),
        (b'{"schema":2}', Reason.NEWER_SCHEMA, "schema 2 is newer than this program's 1: upgrade it"),
        (body(peer="pop-2"), Reason.WRONG_PEER, "says peer pop-2 on the topic of pop-1"),
        (b"x" * (messages.MAX_MESSAGE_BYTES + 1), Reason.TOO_LARGE, "524289 bytes; at most 524288 are taken"),
        (body(*[TEST] * 501), Reason.INVALID, "Expected `array` of length <= 500 - at `$.tests`"),
        (
            body(peer="a/b"),
            Reason.INVALID,
            r"Expected `str` matching regex '\\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\\Z' - at `$.peer`",
        ),
    ],
)
def test_what_does_not_fit_is_a_fault_with_its_reason(payload: bytes, reason: Reason, detail: str) -> None:
    assert decode_peer(payload, PeerEnvelope, "pop-1") == Fault(reason, detail)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"direction": "sideways"}, "Invalid enum value 'sideways' - at `$.direction`"),
        ({"kind": "burst"}, "Invalid enum value 'burst' - at `$.kind`"),
        ({"key_id": 256}, "Expected `int` <= 255 - at `$.key_id`"),
        ({"sent_packets": -1}, "Expected `int` >= 0 - at `$.sent_packets`"),
        ({"start": None}, "Expected `object`, got `null` - at `$.start`"),
    ],
)
def test_one_bad_test_is_a_fault_of_its_own(changes: dict[str, Any], detail: str) -> None:
    fields = json.loads(messages.encode(TEST)) | changes
    assert peer_tests.decode_test(json.dumps(fields).encode()) == Fault(Reason.INVALID, detail)


def test_a_newer_peers_outcome_and_fields_do_no_harm() -> None:
    fields = json.loads(messages.encode(TEST)) | {"invented_later": 1, "outcome": "given-way"}
    decoded = peer_tests.decode_test(json.dumps(fields).encode())
    assert decoded == msgspec.structs.replace(TEST, outcome="given-way")


@given(st.binary(max_size=400))
def test_no_payload_raises(payload: bytes) -> None:
    for kind in (PeerEnvelope, PeerReceipt):
        decode_peer(payload, kind, "A")
    peer_tests.decode_test(payload)
