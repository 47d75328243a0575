"""The brief exchange, against our own reflector and against whoever has not the key."""

import hashlib
import hmac
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.stamp import brief
from wire.stamp.brief import BYTES, BriefSender
from wire.stamp.packet import AUTHENTICATED_BASE_BYTES, Reply, Request, encode_reply, encode_request
from wire.stamp.reflector import Drop, Reflection, ReflectorSettings, RequestArrival, SessionReflector
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.tlv import Tlv, Type, encode, hmac_tlv

KEY, OTHER_KEY = b"site one", b"site two"
NOW = 1_775_000_000_500_000_000
SSID = 42
ARRIVAL = RequestArrival(NOW, ("198.51.100.7", 50_000), ("192.0.2.1", 862))
SYNCHRONISED = ErrorEstimate(synchronised=True)


def reflector(*keys: bytes, open_mode: bool = False, extensions: bool = True) -> SessionReflector:
    return SessionReflector(ReflectorSettings(keys=keys, open_mode=open_mode, extensions=extensions))


def answer(of: SessionReflector, data: bytes) -> bytes | Drop:
    reflection = of.receive(data, ARRIVAL, SYNCHRONISED)
    return reflection.encode(NOW + 1000) if isinstance(reflection, Reflection) else reflection


def flipped(data: bytes, octet: int) -> bytes:
    return data[:octet] + bytes([data[octet] ^ 1]) + data[octet + 1 :]


@pytest.fixture
def sender() -> BriefSender:
    return BriefSender(KEY, SSID)


def test_a_request_byte_for_byte(sender: BriefSender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_bytes", lambda count: bytes(range(count)))
    sender.packet(NOW, SYNCHRONISED)
    padding = bytes.fromhex("80010004 00010203")
    proof = hmac.new(KEY, bytes.fromhex("00000001") + padding, hashlib.sha256).digest()[:16]
    base = bytes.fromhex("00000001 ed76d84080000000 8001 002a") + bytes(28)
    assert sender.packet(NOW, SYNCHRONISED) == base + padding + bytes.fromhex("80080010") + proof


def test_who_has_the_key_answers_with_as_many_bytes_and_is_believed_once(sender: BriefSender) -> None:
    served = reflector(OTHER_KEY, KEY)
    for _ in range(3):
        asked = sender.packet(NOW, SYNCHRONISED)
        reply = answer(served, asked)
        assert len(reply) == len(asked) == BYTES < AUTHENTICATED_BASE_BYTES
        assert sender.received(reply)
        assert not sender.received(reply)
    assert (served.sessions, served.counters) == (0, {"answered": 3})


def test_late_replies_count_as_long_as_the_last_sixteen_are_remembered(sender: BriefSender) -> None:
    served = reflector(KEY)
    replies = [answer(served, sender.packet(NOW, SYNCHRONISED)) for _ in range(20)]
    believed = [isinstance(reply, bytes) and sender.received(reply) for reply in reversed(replies)]
    assert believed == [True] * 16 + [False] * 4


@pytest.mark.parametrize(("served", "is_answered"), [
    (reflector(OTHER_KEY), False), (reflector(KEY, extensions=False), False),
    (reflector(OTHER_KEY, open_mode=True), True), (reflector(open_mode=True), True),
], ids=["another key", "no extensions", "open and another key", "open"])  # fmt: skip
def test_who_has_not_the_key_is_not_believed(
    sender: BriefSender, served: SessionReflector, is_answered: bool
) -> None:
    reply = answer(served, sender.packet(NOW, SYNCHRONISED))
    if is_answered:
        assert not sender.received(reply)
    else:
        assert reply is Drop.UNAUTHENTICATED


def test_neither_our_own_packet_nor_an_answer_to_an_earlier_run_is_an_answer(sender: BriefSender) -> None:
    """As somebody on the way could send who has seen an earlier run of the agent."""
    earlier = BriefSender(KEY, SSID)
    seen = answer(reflector(KEY), earlier.packet(NOW, SYNCHRONISED))
    assert not sender.received(sender.packet(NOW, SYNCHRONISED))
    assert not sender.received(seen)
    assert earlier.received(seen)


@pytest.mark.parametrize("octet", [3, *range(44, 52), *range(53, BYTES)])
def test_one_changed_octet_of_what_is_covered_breaks_it(sender: BriefSender, octet: int) -> None:
    served, asked = reflector(KEY), sender.packet(NOW, SYNCHRONISED)
    reply = answer(served, asked)
    assert not sender.received(flipped(reply, octet))
    assert sender.received(reply)
    assert answer(served, flipped(asked, octet)) is Drop.UNAUTHENTICATED


def test_a_reply_is_not_answered_whoever_gets_it(sender: BriefSender) -> None:
    """Its times are not covered: what makes it look like a request can be put there."""
    reply = answer(reflector(KEY), sender.packet(NOW, SYNCHRONISED))
    for data in (reply, reply[:16] + bytes(8) + reply[24:]):
        assert answer(reflector(KEY), data) is Drop.REFLECTED


def test_one_overheard_request_takes_no_session_from_anybody(sender: BriefSender) -> None:
    served = SessionReflector(ReflectorSettings(keys=(KEY,), most_sessions=2))
    train = Request(0, to_ntp(NOW), SYNCHRONISED, SSID)
    assert isinstance(answer(served, encode_request(train, KEY)), bytes)
    overheard = sender.packet(NOW, SYNCHRONISED)
    for ssid in range(100, 110):
        changed = overheard[:14] + ssid.to_bytes(2) + overheard[16:]
        assert isinstance(answer(served, changed), bytes)
    assert (served.sessions, served.counters["evicted"]) == (1, 0)


PADDING = Tlv(Type.EXTRA_PADDING, b"1234")
SOUND = [PADDING, hmac_tlv(KEY, 0, [PADDING])]
MISSHAPEN = {
    "padding behind": [hmac_tlv(KEY, 0, []), PADDING],
    "no padding": [hmac_tlv(KEY, 0, [])],
    "the TLVs of a train": [COS := Tlv(Type.CLASS_OF_SERVICE, bytes(4)), hmac_tlv(KEY, 0, [COS])],
    "a proof that is cut": [PADDING, Tlv(Type.HMAC, hmac_tlv(KEY, 0, [PADDING]).value[:15])],
    "two proofs": [*SOUND, SOUND[1]],
}


@pytest.mark.parametrize("tlvs", MISSHAPEN.values(), ids=MISSHAPEN)
def test_another_shape_is_dropped_before_any_key(tlvs: list[Tlv], monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    data = encode_request(Request(0, to_ntp(NOW), SYNCHRONISED, SSID, encode(tlvs)))
    monkeypatch.setattr(brief, "mac", lambda key, _: tried.append(key) or bytes(16))
    assert answer(reflector(KEY), data) is Drop.UNAUTHENTICATED
    assert tried == []


def test_the_covered_bytes_of_a_forged_packet_are_put_together_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Tlv] = []
    data = BriefSender(b"nobody's", SSID).packet(NOW, SYNCHRONISED)
    encoding = Tlv.encode
    monkeypatch.setattr(Tlv, "encode", lambda one: encoded.append(one) or encoding(one))
    keys = tuple(number.to_bytes(2) for number in range(1, 257))
    assert answer(reflector(*keys), data) is Drop.UNAUTHENTICATED
    assert len(encoded) <= 1


def test_a_reply_whose_padding_is_not_covered_is_none(sender: BriefSender) -> None:
    padding = Tlv(Type.EXTRA_PADDING, sender.packet(NOW, SYNCHRONISED)[48:52], 0)
    for tlvs, believed in (
        ([hmac_tlv(KEY, 5, [], 0), padding], False),
        ([padding, hmac_tlv(KEY, 5, [padding], 0)], True),
    ):
        reply = Reply(5, 0, SYNCHRONISED, SSID, 0, 0, 0, SYNCHRONISED, 64, encode(tlvs))
        assert sender.received(encode_reply(reply)) is believed


def test_a_key_that_was_taken_away_proves_nothing(sender: BriefSender) -> None:
    served = reflector(KEY)
    assert isinstance(answer(served, sender.packet(NOW, SYNCHRONISED)), bytes)
    served.take(ReflectorSettings(keys=(OTHER_KEY,)))
    assert answer(served, sender.packet(NOW, SYNCHRONISED)) is Drop.UNAUTHENTICATED


def test_both_forms_may_share_a_session(sender: BriefSender) -> None:
    served = reflector(KEY)
    request = Request(9, to_ntp(NOW), SYNCHRONISED, SSID)
    for _ in range(2):
        long = answer(served, encode_request(request, KEY))
        assert len(long) == AUTHENTICATED_BASE_BYTES
        brief = answer(served, sender.packet(NOW, SYNCHRONISED))
        assert sender.received(brief)
    assert served.sessions == 1


def test_an_error_of_nought_is_not_answered() -> None:
    whole = bytearray(encode_request(Request(0, to_ntp(NOW), SYNCHRONISED, SSID, encode(SOUND))))
    whole[12:14] = bytes(2)
    assert answer(reflector(KEY), bytes(whole)) is Drop.UNAUTHENTICATED


@given(st.one_of(st.binary(max_size=200), st.binary(min_size=BYTES, max_size=BYTES)))
def test_chance_bytes_are_no_answer_and_get_none(data: bytes) -> None:
    asking = BriefSender(KEY, SSID)
    asking.packet(NOW, SYNCHRONISED)
    assert not asking.received(data)
    assert isinstance(answer(reflector(KEY), data), Drop)
