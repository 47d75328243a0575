"""Packets of Plancher read by an independent implementation, and the reverse, without authentication.

Its flag letters are numbered from the low bit, so flags are compared by number.
"""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire.stamp import tlv
from wire.stamp.packet import Reply, Request, decode_reply, decode_request, encode_reply, encode_request
from wire.stamp.timestamp import ErrorEstimate
from wire.stamp.tlv import ClassOfService, FollowUp, Tlv, Type

stamp = pytest.importorskip("scapy.contrib.stamp")

word_16, word_32, word_64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
estimates = st.builds(ErrorEstimate, st.booleans(), st.integers(0, 63), st.integers(0, 255))
tlvs = st.lists(
    st.builds(Tlv, st.integers(9, 255), st.binary(max_size=40), st.sampled_from([0, 0x80, 0x40])), max_size=4
)
requests = st.builds(Request, word_32, word_64, estimates, word_16, tlvs.map(tlv.encode))
replies = st.builds(
    Reply,
    sequence=word_32,
    timestamp=word_64,
    estimate=estimates,
    ssid=word_16,
    received=word_64,
    sender_sequence=word_32,
    sender_timestamp=word_64,
    sender_estimate=estimates,
    sender_ttl=st.integers(0, 255),
    extra=tlvs.map(tlv.encode),
)
few = settings(deadline=None, max_examples=50)


def their_estimate(estimate: ErrorEstimate) -> Any:
    return stamp.ErrorEstimate(
        S=int(estimate.synchronised), Z=0, scale=estimate.scale, multiplier=estimate.multiplier
    )


def their_tlvs(extra: bytes) -> list[Any]:
    return [
        stamp.STAMPTestTLV(flags=one.flags, type=one.type, len=len(one.value), value=one.value)
        for one in tlv.decode(extra)[0]
    ]


def their_request(request: Request) -> Any:
    return stamp.STAMPSessionSenderTestUnauthenticated(
        seq=request.sequence,
        ts=Fraction(request.timestamp, 2**32),
        err_estimate=their_estimate(request.estimate),
        ssid=request.ssid,
        tlv_objects=their_tlvs(request.extra),
    )


def their_reply(reply: Reply) -> Any:
    return stamp.STAMPSessionReflectorTestUnauthenticated(
        seq=reply.sequence,
        ts=Fraction(reply.timestamp, 2**32),
        err_estimate=their_estimate(reply.estimate),
        ssid=reply.ssid,
        ts_rx=Fraction(reply.received, 2**32),
        seq_sender=reply.sender_sequence,
        ts_sender=Fraction(reply.sender_timestamp, 2**32),
        err_estimate_sender=their_estimate(reply.sender_estimate),
        ttl_sender=reply.sender_ttl,
        tlv_objects=their_tlvs(reply.extra),
    )


def rebuilt(packet: Any) -> bytes:
    """Bytes that scapy builds from the fields it has read, not those it has kept."""
    fresh = packet.copy()
    fresh.clear_cache()
    return bytes(fresh)


@few
@given(requests)
def test_a_request_of_scapy_is_read_here(request):
    assert bytes(their_request(request)) == encode_request(request)
    assert decode_request(bytes(their_request(request))) == request


@few
@given(replies)
def test_a_reply_of_scapy_is_read_here(reply):
    assert bytes(their_reply(reply)) == encode_reply(reply)
    assert decode_reply(bytes(their_reply(reply))) == reply


@few
@given(requests)
def test_scapy_reads_our_request(request):
    theirs = stamp.STAMPSessionSenderTestUnauthenticated(encode_request(request))
    assert theirs.fields["ts"] == request.timestamp
    assert (theirs.seq, theirs.ssid) == (request.sequence, request.ssid)
    assert request.estimate.synchronised == theirs.err_estimate.S
    assert theirs.err_estimate.scale == request.estimate.scale
    assert theirs.err_estimate.multiplier == request.estimate.multiplier
    assert rebuilt(theirs) == encode_request(request)


@few
@given(replies)
def test_scapy_reads_our_reply(reply):
    theirs = stamp.STAMPSessionReflectorTestUnauthenticated(encode_reply(reply))
    assert theirs.fields["ts"] == reply.timestamp
    assert theirs.fields["ts_rx"] == reply.received
    assert theirs.fields["ts_sender"] == reply.sender_timestamp
    assert (theirs.seq, theirs.seq_sender) == (reply.sequence, reply.sender_sequence)
    assert (theirs.ssid, theirs.ttl_sender) == (reply.ssid, reply.sender_ttl)
    assert rebuilt(theirs) == encode_reply(reply)


def test_scapy_splits_our_tlvs_alike():
    ours = [
        Tlv(Type.CLASS_OF_SERVICE, ClassOfService(46, 10, 1).encode(), 0),
        Tlv(Type.FOLLOW_UP, FollowUp(4, 5, 2).encode(), 0),
        tlv.hmac_tlv(b"key", 1, [], 0),
        Tlv(Type.EXTRA_PADDING, bytes(12), 0),
        Tlv(200, b"?", tlv.Flag.UNRECOGNISED),
    ]
    data = encode_request(Request(1, 2, ErrorEstimate(), 3, tlv.encode(ours)))
    theirs = stamp.STAMPSessionSenderTestUnauthenticated(data).tlv_objects
    assert [(one.type, int(one.flags), one.len, bytes(one)) for one in theirs] == [
        (one.type, one.flags, len(one.value), one.encode()) for one in ours
    ]
