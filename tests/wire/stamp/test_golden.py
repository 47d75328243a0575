"""Packets byte for byte: vectors from other code (Unix time 1775000000.5, SSID 42, sequence 5)."""

import pytest

from wire.stamp import tlv
from wire.stamp.answer import TlvAnswer, TlvContext, answer
from wire.stamp.packet import (
    PacketFault,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from wire.stamp.timestamp import ErrorEstimate, to_unix_ns
from wire.stamp.tlv import ClassOfService, FollowUp, ReplyTlvs, Tlv, Type

KEY = b"0123456789abcdef"
SYNCHRONISED = ErrorEstimate(synchronised=True)
T1, T2, T3 = 0xED76D84080000000, 0xED76D84080830000, 0xED76D84080840000
T3_NS = to_unix_ns(T3, SYNCHRONISED)


def octets(text: str) -> bytes:
    """Hex with ``00*n`` for n zero octets."""
    parts = (part.partition("*") for part in text.split())
    return b"".join(bytes(int(count)) if count else bytes.fromhex(hexes) for hexes, _, count in parts)


REQUEST = Request(5, T1, SYNCHRONISED, 42)
REPLY = Reply(5, T3, SYNCHRONISED, 42, T2, 5, T1, SYNCHRONISED, 64)
REQUEST_OPEN = octets("00000005 ed76d84080000000 8001 002a 00*28")
REPLY_OPEN = octets(
    "00000005 ed76d84080840000 8001 002a ed76d84080830000 00000005 ed76d84080000000 8001 0000 40 000000"
)
REQUEST_AUTHENTICATED = octets(
    "00000005 00*12 ed76d84080000000 8001 002a 00*68 2596ca62dd796ee62274961a3a710aa0"
)
REPLY_AUTHENTICATED = octets(
    "00000005 00*12 ed76d84080840000 8001 002a 00000000 ed76d84080830000 00*8 00000005 00*12"
    " ed76d84080000000 8001 00*6 40 00*15 e05423ea133444a8cbb8987545a948c0"
)


@pytest.mark.parametrize(
    ("key", "request_bytes", "reply_bytes"),
    [(None, REQUEST_OPEN, REPLY_OPEN), (KEY, REQUEST_AUTHENTICATED, REPLY_AUTHENTICATED)],
    ids=["unauthenticated", "authenticated"],
)
def test_base_packets(key, request_bytes, reply_bytes):
    assert encode_request(REQUEST, key) == request_bytes
    assert encode_reply(REPLY, key) == reply_bytes
    assert decode_request(request_bytes, key) == REQUEST
    assert decode_reply(reply_bytes, key) == REPLY


@pytest.mark.parametrize("octet", [0, 16, 50, 95, 96, 111])
def test_one_changed_octet_breaks_the_authentication(octet):
    for data, decode in ((REQUEST_AUTHENTICATED, decode_request), (REPLY_AUTHENTICATED, decode_reply)):
        changed = bytearray(data)
        changed[octet] ^= 1
        assert decode(bytes(changed), KEY) is PacketFault.BAD_HMAC
        assert decode(data, b"another key") is PacketFault.BAD_HMAC


def test_a_twamp_light_reply_ends_before_the_ttl():
    short = REPLY_OPEN[:38]
    assert decode_reply(short) is PacketFault.SHORT
    reply = decode_reply(short, twamp_light=True)
    assert reply == Reply(5, T3, SYNCHRONISED, 42, T2, 5, T1, SYNCHRONISED, None)
    assert decode_reply(REPLY_OPEN[:43], twamp_light=True) == reply
    assert decode_reply(short[:37], twamp_light=True) is PacketFault.SHORT
    assert decode_reply(REPLY_OPEN, KEY, twamp_light=True) is PacketFault.SHORT


PADDING = bytes.fromhex("a5a5a5a5a5a5a5a5")
SENDER_TLVS = {
    "padding": (Tlv(1, PADDING), "80010008 a5a5a5a5a5a5a5a5"),
    "location": (
        Tlv(2, octets("00000000 80040010 00*16 80070010 00*16")),
        "8002002c 00000000 80040010 00*16 80070010 00*16",
    ),
    "timestamp information": (Tlv(3, bytes(4)), "80030004 00000000"),
    "class of service": (Tlv(4, ClassOfService(46).encode()), "80040004 b8000000"),
    "direct measurement": (Tlv(5, octets("000003e8 00*8")), "8005000c 000003e8 00000000 00000000"),
    "access report": (Tlv(6, octets("10010000")), "80060004 10010000"),
    "follow-up telemetry": (Tlv(7, FollowUp().encode()), "80070010 00*16"),
    "unknown": (Tlv(200, octets("01020304")), "80c80004 01020304"),
}
SIX = [name for name in SENDER_TLVS if name not in ("padding", "unknown")]
REFLECTED_SIX = [
    "0002002c 035ec350 00050010 c0000201 00*12 00080010 c6336407 00*12",
    "00030004 01020102",
    "00040004 b8a40000",
    "0005000c 000003e8 000003e6 000003e5",
    "00060004 10010000",
    "00070010 00000004 ed76d84080840000 02 000000",
]


@pytest.mark.parametrize(("built", "text"), SENDER_TLVS.values(), ids=SENDER_TLVS)
def test_tlvs_of_a_request(built, text):
    assert built.encode() == octets(text)
    assert tlv.decode(octets(text)) == ([built], b"")


def terms(
    *, allows: bool = True, dscp_ecn: int | None = 10 << 2 | 1, sequence: int = 5, sent_ns: int = 0
) -> TlvContext:
    return TlvContext(5, sequence, None, dscp_ecn, lambda _: allows, sent_ns)


@pytest.mark.parametrize(("asked", "allows", "answered"), [
    ("80010008 a5a5a5a5a5a5a5a5", True, TlvAnswer(octets("00010008") + PADDING)),
    ("80040004 b8000000", True, TlvAnswer(octets("00040004 b8a40000"), 46)),
    ("80040004 b8000000", False, TlvAnswer(octets("00040004 b8a50000"))),
    ("80c80004 01020304", True, TlvAnswer(octets("80c80004 01020304"))),
    ("00c80004 01020304", True, TlvAnswer(octets("80c80004 01020304"))),
], ids=["padding", "DSCP granted", "DSCP refused by policy", "unknown", "unknown, unflagged"])  # fmt: skip
def test_tlvs_of_an_answer(asked, allows, answered):
    assert answer(octets(asked), terms(allows=allows)) == answered


def test_class_of_service_of_an_answer_is_read():
    assert ClassOfService.decode(octets("b8a50000")) == ClassOfService(46, 10, 1, refused=True)


def test_follow_up_telemetry_reports_the_previous_reply():
    asked, reflected = octets("80070010 00*16"), octets(REFLECTED_SIX[-1])
    told = FollowUp(4, T3, tlv.SOFTWARE_LOCAL)
    assert FollowUp.decode(reflected[4:]) == told
    assert Tlv(7, told.encode(), 0).encode() == reflected
    answered = answer(asked, terms(sent_ns=T3_NS))
    assert answered.follow_up
    assert answered.extra[:8] == reflected[:8]
    assert abs(int.from_bytes(answered.extra[8:16]) - T3) <= 2  # whole nanoseconds between two words
    assert answered.extra[16:] == reflected[16:]


def test_follow_up_telemetry_after_the_sequence_number_wrapped_and_without_a_kernel_stamp():
    wrapped = answer(octets("80070010 00*16"), terms(sequence=0, sent_ns=T3_NS))
    assert wrapped.extra[4:8] == octets("ffffffff")
    unstamped = answer(octets("80070010 00000009 00*8 03 000001"), terms())
    assert unstamped == TlvAnswer(octets("00070010 00*16"), follow_up=True)


@pytest.mark.parametrize("length", [0, 15, 17])
def test_follow_up_telemetry_of_another_length_is_zeroed_and_malformed(length):
    asked = Tlv(7, b"\x09" * length).encode() + octets("80040004 b8000000")
    answered = answer(asked, terms(dscp_ecn=0, sent_ns=T3_NS))
    assert answered == TlvAnswer(Tlv(7, bytes(length), 0x40).encode() + octets("80040004 b8000000"))
    assert tlv.read_reply(answered.extra, 5, None) == ReplyTlvs()


def test_hmac_tlv_over_six_tlvs():
    asked = [SENDER_TLVS[name][0] for name in SIX]
    reflected, rest = tlv.decode(octets(" ".join(REFLECTED_SIX)))
    assert not rest
    assert tlv.hmac_tlv(KEY, 5, asked).encode() == octets("80080010 b4a3a660e9e6d7e5647783530db47bea")
    assert tlv.hmac_tlv(KEY, 5, reflected, 0).encode() == octets("00080010 d363adc7df6c9974e151f5694718756b")


@pytest.mark.parametrize(("follow_up", "extra"), [
    (False, "80040004 b8000000 80080010 2515f854067457fe46ef074b8d0af0a8"),
    (True, "80040004 b8000000 80070010 00*16 80080010 e316473fd4bcbf5c6b6ec8e674b786c0"),
])  # fmt: skip
def test_extensions_of_an_authenticated_request(follow_up, extra):
    # The HMAC of the second was computed by openssl over 00000005 and the TLVs before it.
    assert tlv.request(sequence=5, key=KEY, wanted_dscp=46, follow_up=follow_up) == octets(extra)


def test_a_whole_packet_with_eight_tlvs():
    tlvs = [SENDER_TLVS[name][0] for name in SIX]
    tlvs += [tlv.hmac_tlv(KEY, 5, tlvs), Tlv(Type.EXTRA_PADDING, PADDING)]
    data = encode_request(Request(5, T1, SYNCHRONISED, 42, tlv.encode(tlvs)))
    assert len(data) == 184
    decoded = decode_request(data)
    assert tlv.decode(decoded.extra) == (tlvs, b"")
    assert tlv.verify_hmac(tlvs, b"", KEY, 5)
