"""Decoders accept any bytes, and read back everything that was encoded."""

from hypothesis import given
from hypothesis import strategies as st

from wire.stamp import tlv
from wire.stamp.answer import TlvContext, answer
from wire.stamp.packet import (
    PacketFault,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from wire.stamp.reflector import Drop, Reflection, ReflectorSettings, RequestArrival, SessionReflector
from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.tlv import FollowUp, Tlv

KEY = b"a key"
keys = st.sampled_from([None, KEY])
anything = st.binary(max_size=400)
word_16, word_32, word_64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
estimates = word_16.map(ErrorEstimate.from_field)
requests = st.builds(Request, word_32, word_64, estimates, word_16, st.binary(max_size=60))
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
    extra=st.binary(max_size=60),
)
tlvs = st.lists(
    st.builds(Tlv, st.integers(0, 255), st.binary(max_size=40), st.sampled_from([0, 0x80, 0x40, 0x20]))
)
dscp_ecns = st.none() | st.integers(0, 255)


@given(requests, keys)
def test_requests_round_trip(request, key):
    assert decode_request(encode_request(request, key), key) == request


@given(replies, keys)
def test_replies_round_trip(reply, key):
    assert decode_reply(encode_reply(reply, key), key) == reply


@given(tlvs)
def test_tlvs_round_trip(some):
    assert tlv.decode(tlv.encode(some)) == (some, b"")


@given(st.builds(FollowUp, word_32, word_64, st.integers(0, 255)))
def test_follow_ups_round_trip(told):
    assert FollowUp.decode(told.encode()) == told


@given(word_32, word_32, word_64.map(lambda word: word >> 2), keys)
def test_the_send_time_of_the_previous_reply_reaches_the_sender(asked, sequence, sent_ns, key):
    extra = tlv.request(sequence=asked, key=key, wanted_dscp=None, follow_up=True)
    answered = answer(extra, TlvContext(asked, sequence, key, None, lambda _: True, sent_ns))
    previous = (sequence - 1) % 2**32
    told = FollowUp(previous, to_ntp(sent_ns), tlv.SOFTWARE_LOCAL) if sent_ns else FollowUp()
    assert tlv.read_reply(answered.extra, sequence, key).follow_up == told


@given(anything, keys, st.booleans())
def test_any_bytes_decode_to_a_packet_or_a_fault(data, key, twamp_light):
    assert isinstance(decode_request(data, key), Request | PacketFault)
    assert isinstance(decode_reply(data, key, twamp_light=twamp_light), Reply | PacketFault)


@given(anything)
def test_no_byte_is_lost_in_tlvs(data):
    some, rest = tlv.decode(data)
    assert tlv.encode(some, rest) == data


@given(anything | tlvs.map(tlv.encode), keys, dscp_ecns, st.booleans(), st.integers(0, 2**62))
def test_an_answer_is_as_long_as_its_request(extra, key, dscp_ecn, allows, previous_sent_ns):
    answered = answer(extra, TlvContext(1, 2, key, dscp_ecn, lambda _: allows, previous_sent_ns))
    assert len(answered.extra) == len(extra)


@given(anything, word_32, keys)
def test_a_sender_reads_any_tlvs_without_an_exception(extra, sequence, key):
    tlv.read_reply(extra, sequence, key)


@given(st.lists(anything | requests.map(encode_request), max_size=5), dscp_ecns)
def test_an_open_reflector_answers_any_bytes_with_their_own_length_or_not_at_all(packets, dscp_ecn):
    reflector = SessionReflector(ReflectorSettings(open_mode=True, keys=(KEY,)))
    for data in packets:
        arrival = RequestArrival(10**18, ("192.0.2.1", 50000), ("192.0.2.2", 862), dscp_ecn, None)
        result = reflector.receive(data, arrival, ErrorEstimate())
        assert isinstance(result, Drop) or len(result.encode(10**18)) == len(data)


@given(st.binary(min_size=112, max_size=300))
def test_an_authenticating_reflector_answers_no_random_bytes(data):
    reflector = SessionReflector(ReflectorSettings(keys=(KEY,)))
    arrival = RequestArrival(0, ("192.0.2.1", 50000), ("192.0.2.2", 862))
    assert not isinstance(reflector.receive(data, arrival, ErrorEstimate()), Reflection)
    assert reflector.sessions == 0


@given(anything | replies.map(encode_reply))
def test_a_sender_accepts_only_replies_to_its_packets(data):
    sender = SessionSender(SenderSettings(ssid=7, twamp_light=True))
    sender.packet(1_775_000_000_000_000_001, ErrorEstimate())
    assert sender.received(data, 0, by_kernel=True) in (ReplyVerdict.SHORT, ReplyVerdict.NOT_OURS)
