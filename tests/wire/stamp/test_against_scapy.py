"""Packets of Plancher read by an independent implementation, and the reverse, without authentication.

Its flag letters are numbered from the low bit, so flags are compared by number.
"""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.stamp.test_decoders import replies, requests
from wire.stamp import tlv
from wire.stamp.packet import Reply, Request, decode_reply, decode_request, encode_reply, encode_request
from wire.stamp.timestamp import ErrorEstimate
from wire.stamp.tlv import ClassOfService, FollowUp, Tlv, Type

stamp = pytest.importorskip("scapy.contrib.stamp")

# Scapy's reader of an estimate knows the NTP format alone.
estimates = st.builds(ErrorEstimate, st.booleans(), st.integers(0, 63), st.integers(0, 255))
tlvs = st.builds(Tlv, st.integers(9, 255), st.binary(max_size=40), st.sampled_from([0, 0x80, 0x40]))
extras = st.lists(tlvs, max_size=4).map(tlv.encode)
few = settings(max_examples=25)


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


@few
@given(requests(estimates, extras))
def test_a_request_of_scapy_is_ours_to_the_byte_and_read_here(request):
    assert bytes(their_request(request)) == encode_request(request)
    assert decode_request(bytes(their_request(request))) == request


@few
@given(replies(estimates, extras))
def test_a_reply_of_scapy_is_ours_to_the_byte_and_read_here(reply):
    assert bytes(their_reply(reply)) == encode_reply(reply)
    assert decode_reply(bytes(their_reply(reply))) == reply


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
