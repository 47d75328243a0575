"""Everything that was encoded is read back; what any bytes do is for tests/fuzz."""

from hypothesis import given
from hypothesis import strategies as st

from wire.stamp import tlv
from wire.stamp.answer import TlvContext, answer
from wire.stamp.packet import Reply, Request, decode_reply, decode_request, encode_reply, encode_request
from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.tlv import FollowUp, Tlv

keys = st.sampled_from([None, b"a key"])
word_16, word_32, word_64 = (st.integers(0, 2**bits - 1) for bits in (16, 32, 64))
estimates = word_16.map(ErrorEstimate.from_field)
anything = st.binary(max_size=60)
tlvs = st.lists(
    st.builds(Tlv, st.integers(0, 255), st.binary(max_size=40), st.sampled_from([0, 0x80, 0x40, 0x20]))
)


def requests(
    estimates: st.SearchStrategy[ErrorEstimate] = estimates, extras: st.SearchStrategy[bytes] = anything
) -> st.SearchStrategy[Request]:
    return st.builds(Request, word_32, word_64, estimates, word_16, extras)


def replies(
    estimates: st.SearchStrategy[ErrorEstimate] = estimates, extras: st.SearchStrategy[bytes] = anything
) -> st.SearchStrategy[Reply]:
    return st.builds(
        Reply, sequence=word_32, timestamp=word_64, estimate=estimates, ssid=word_16, received=word_64,
        sender_sequence=word_32, sender_timestamp=word_64, sender_estimate=estimates,
        sender_ttl=st.integers(0, 255), extra=extras,
    )  # fmt: skip


@given(requests(), keys)
def test_requests_round_trip(request, key):
    assert decode_request(encode_request(request, key), key) == request


@given(replies(), keys)
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


@given(st.binary(max_size=400) | replies().map(encode_reply))
def test_a_sender_accepts_only_replies_to_its_packets(data):
    sender = SessionSender(SenderSettings(ssid=7, twamp_light=True))
    sender.packet(1_775_000_000_000_000_001, ErrorEstimate())
    assert sender.received(data, 0, by_kernel=True) in (ReplyVerdict.SHORT, ReplyVerdict.NOT_OURS)
