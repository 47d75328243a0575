import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest.decode import judge
from collector.model.message import (
    AcceptedTest,
    Arrival,
    Batch,
    PeerBatch,
    RecordResult,
    Refused,
    UnreadableMessage,
)
from collector.model.receipt import receipt_of_batch, receipt_of_unreadable, receipt_topic
from tests.collector.examples import EPOCH, NOW_US, SITE, arrival, payload, peer_arrival, peer_test, stamp
from wire.messages import envelope as messages
from wire.messages.envelope import Fault, Reason, ReceiptStatus

TOPIC = f"qos/v1/{SITE}/results"


def unreadable(topic: str, body: bytes) -> UnreadableMessage:
    judged = judge(Arrival(topic, body, NOW_US))
    assert isinstance(judged, UnreadableMessage)
    return judged


def changed(**fields: object) -> bytes:
    return json.dumps(json.loads(payload(stamp())) | fields).encode()


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (b"", Reason.MALFORMED, "Input data was truncated"),
        (payload(stamp())[:-40], Reason.MALFORMED, "Input data was truncated"),
        (b"\xff\xfe", Reason.MALFORMED, "JSON is malformed: invalid character (byte 0)"),
        (b"[" * 100_000, Reason.INVALID, "Expected `object`, got `array`"),
        (b"x" * 524_289, Reason.TOO_LARGE, "524289 bytes; at most 524288 are taken"),
        (changed(schema=2), Reason.NEWER_SCHEMA, "schema 2 is newer than this program's 1: upgrade it"),
        (
            changed(schema=2, marks="?"),
            Reason.NEWER_SCHEMA,
            "schema 2 is newer than this program's 1: upgrade it",
        ),
        (changed(sender="0639999Z"), Reason.WRONG_SENDER, f"says 0639999Z on the topic of {SITE}"),
        (changed(records=7), Reason.INVALID, "Expected `array`, got `int` - at `$.records`"),
        (
            changed(records=[{}] * 501),
            Reason.INVALID,
            "Expected `array` of length <= 500 - at `$.records`",
        ),
    ],
)
def test_a_bad_message_is_refused_with_its_reason_and_a_receipt(
    body: bytes, reason: Reason, detail: str
) -> None:
    judged = unreadable(TOPIC, body)
    assert judged.fault == Fault(reason, detail)
    receipt = receipt_of_unreadable(judged)
    assert receipt == messages.Receipt(
        schema=1, sender=SITE, payload=messages.digest(body), reason=reason, detail=detail
    )
    assert messages.decode(messages.encode(receipt), messages.Receipt, SITE) == receipt


@pytest.mark.parametrize("topic", ["qos/v1/a b/results", f"qos/v1/{SITE}/presence", "qos/v2/x/results", "x"])
def test_a_topic_that_is_none_of_ours_gets_no_receipt(topic: str) -> None:
    judged = unreadable(topic, payload(stamp()))
    assert judged.fault == Fault(Reason.WRONG_TOPIC, "not the results topic of a possible site id")
    assert (receipt_of_unreadable(judged), receipt_topic(judged)) == (None, None)


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"outcome": "fun"}, Reason.INVALID, "Invalid enum value 'fun' - at `$.outcome`"),
        ({"duration_us": -1}, Reason.INVALID, "Expected `int` >= 0 - at `$.duration_us`"),
        ({"duration_us": 10**30}, Reason.INVALID, "Expected `int` <= 9007199254740992 - at `$.duration_us`"),
        ({"dscp": 64}, Reason.INVALID, "Expected `int` <= 63 - at `$.dscp`"),
    ],
)
def test_one_bad_measurement_is_refused_alone(change: dict[str, object], reason: Reason, detail: str) -> None:
    bad = json.dumps(json.loads(messages.encode(stamp(2))) | change).encode()
    batch = judge(arrival(stamp(1), bad, stamp(3)))
    assert isinstance(batch, Batch)
    assert [type(item).__name__ for item in batch.items] == ["Accepted", "Refused", "Accepted"]
    assert batch.items[1] == Refused((EPOCH, 2), Fault(reason, detail), bad)


def test_a_batch_without_one_readable_identity_is_refused_whole() -> None:
    batch = judge(arrival(b'{"probe":"stamp"}'))
    assert isinstance(batch, Batch)
    receipt = receipt_of_batch(batch, [])
    assert (receipt.lines, receipt.reason) == ((), Reason.INVALID)
    assert receipt.detail == "Object missing required field `epoch`"


@given(st.one_of(st.binary(), st.binary().map(lambda tail: payload(stamp())[:-9] + tail)))
def test_no_bytes_make_the_judge_raise(body: bytes) -> None:
    assert isinstance(judge(Arrival(TOPIC, body, NOW_US)), Batch | UnreadableMessage)


@given(st.text())
def test_no_topic_makes_the_judge_raise(topic: str) -> None:
    assert isinstance(judge(Arrival(topic, payload(stamp()), NOW_US)), Batch | UnreadableMessage)


def test_receipts_compress_into_ranges() -> None:
    fault = Fault(Reason.INVALID, "why")
    results = [
        *(RecordResult(EPOCH, seq, ReceiptStatus.COMMITTED) for seq in (9, 8, 7, 3, 2)),
        RecordResult(EPOCH, 4, ReceiptStatus.COMMITTED, redelivered=True),
        RecordResult(EPOCH, 5, ReceiptStatus.REJECTED, fault),
        RecordResult(EPOCH, 6, ReceiptStatus.REJECTED, fault),
        RecordResult("f" * 16, 10, ReceiptStatus.COMMITTED),
    ]
    assert lines(results) == [
        (EPOCH, 2, 4, "committed", None),
        (EPOCH, 5, 6, "rejected", "invalid"),
        (EPOCH, 7, 9, "committed", None),
        ("f" * 16, 10, 10, "committed", None),
    ]


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from(ReceiptStatus)), unique_by=lambda one: one[0]))
def test_ranges_say_exactly_what_happened(wanted: list[tuple[int, ReceiptStatus]]) -> None:
    found = lines([RecordResult(EPOCH, seq, status) for seq, status in wanted])
    named = [(seq, status) for _, first, last, status, _ in found for seq in range(first, last + 1)]
    assert sorted(named) == sorted(wanted)


def test_a_peers_message_is_judged_test_by_test() -> None:
    bad = json.dumps(json.loads(messages.encode(peer_test(seq=2))) | {"key_id": -1}).encode()
    batch = judge(peer_arrival(peer_test(), bad, b"{}"))
    assert isinstance(batch, PeerBatch)
    accepted, refused, nameless = batch.items
    assert isinstance(accepted, AcceptedTest)
    assert accepted.record == peer_test()
    assert isinstance(refused, Refused)
    assert refused.identity == (EPOCH, 2)
    assert isinstance(nameless, Refused)
    assert nameless.identity is None
    assert receipt_topic(batch) == "qos/v1/peers/pop-1/receipts"


def test_a_peer_that_speaks_for_another_is_refused_by_its_own_name() -> None:
    body = peer_arrival(peer_test(), peer="pop-2").payload
    judged = unreadable("qos/v1/peers/pop-1/tests", body)
    assert judged.fault == Fault(Reason.WRONG_SENDER, "says pop-2 on the topic of pop-1")
    receipt = receipt_of_unreadable(judged)
    assert receipt is not None
    assert (receipt.sender, receipt.reason) == ("pop-1", Reason.WRONG_SENDER)
    assert receipt_topic(judged) == "qos/v1/peers/pop-1/receipts"


def lines(results: list[RecordResult]) -> list[tuple[str, int, int, str, str | None]]:
    batch = judge(arrival(stamp()))
    assert isinstance(batch, Batch)
    receipt = receipt_of_batch(batch, results)
    return [msgspec.structs.astuple(line)[:5] for line in receipt.lines]
