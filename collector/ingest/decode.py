"""Decoding at the edge: each message is validated here, once.

Pure: topic, bytes and time of arrival in, a message of :mod:`collector.model.message` out.
"""

import msgspec
from msgspec import Struct

from collector.model.message import (
    Accepted,
    AcceptedTest,
    Arrival,
    Batch,
    Judged,
    PeerBatch,
    Refused,
    UnreadableMessage,
)
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import Envelope, Fault, Reason
from wire.messages.peer_tests import decode_test
from wire.messages.topics import Kind
from wire.records import Epoch, Sequence


class _Identity(Struct):
    epoch: Epoch
    seq: Sequence


_IDENTITY = msgspec.json.Decoder(_Identity)


def judge(arrival: Arrival) -> Judged:
    """Decode a message that came in on a results topic, or a peer's. Never raises on any bytes."""
    digest = messages.digest(arrival.payload)
    # The broker's access list decides who may publish on a topic, so the topic names the sender.
    of_peer, of_site = topics.parse_peer(arrival.topic), topics.parse(arrival.topic)
    if of_peer is None and (of_site is None or of_site[1] is not Kind.RESULTS):
        fault = Fault(Reason.WRONG_TOPIC, "not the results topic of a possible site id")
        return UnreadableMessage(arrival, None, digest, fault)
    sender = (of_peer or of_site or ("",))[0]
    envelope = messages.decode(arrival.payload, Envelope, sender)
    if isinstance(envelope, Fault):
        if of_peer is not None:
            return UnreadableMessage(arrival, None, digest, envelope, sender)
        return UnreadableMessage(arrival, sender, digest, envelope)
    if of_peer is not None:
        tests = tuple(_judge_test(bytes(raw)) for raw in envelope.records)
        return PeerBatch(arrival, sender, envelope, digest, tests)
    items = tuple(_judge_measurement(bytes(raw)) for raw in envelope.records)
    return Batch(arrival, sender, envelope, digest, items)


def _judge_measurement(raw: bytes) -> Accepted | Refused:
    record = messages.decode_measurement(raw)
    return _refused(record, raw) if isinstance(record, Fault) else Accepted(record, raw)


def _judge_test(raw: bytes) -> AcceptedTest | Refused:
    record = decode_test(raw)
    return _refused(record, raw) if isinstance(record, Fault) else AcceptedTest(record, raw)


def _refused(fault: Fault, raw: bytes) -> Refused:
    # The identity is read apart: with it, a receipt can name a record that does not fit its schema.
    try:
        identity = _IDENTITY.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Refused(None, fault, raw)
    return Refused((identity.epoch, identity.seq), fault, raw)
