from collections import Counter
from collections.abc import Callable

import pytest

from wire.stamp import reflector as reflector_module
from wire.stamp import tlv
from wire.stamp.packet import Reply, Request, decode_reply, encode_request
from wire.stamp.reflector import (
    MOST_BYTES,
    Drop,
    Reflection,
    ReflectorSettings,
    RequestArrival,
    SessionReflector,
)
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.tlv import Flag, FollowUp, Tlv, Type

KEY, OTHER_KEY, STRANGE_KEY = b"site one", b"site two", b"nobody's"
NOW = 1_775_000_000_000_000_000
SECOND = 10**9
US = ErrorEstimate.from_seconds(0.001, synchronised=True)
REFLECTOR = ("192.0.2.1", 862)


def at(
    now_ns: int = NOW, port: int = 50_000, host: str = "198.51.100.7", **header: int | None
) -> RequestArrival:
    return RequestArrival(now_ns, (host, port), REFLECTOR, **header)


def packet(sequence: int = 0, key: bytes | None = KEY, ssid: int = 7, extra: bytes = b"") -> bytes:
    return encode_request(Request(sequence, to_ntp(NOW), ErrorEstimate(), ssid, extra), key)


def reflect(
    reflector: SessionReflector, data: bytes, arrival: RequestArrival, key: bytes | None = KEY
) -> Reply:
    reply = decode_reply(reflector.receive(data, arrival, US).encode(arrival.received_ns + 1000), key)
    assert isinstance(reply, Reply)
    return reply


@pytest.fixture
def reflector() -> SessionReflector:
    return SessionReflector(ReflectorSettings(keys=(KEY, OTHER_KEY)))


def test_a_reply_carries_all_four_facts(reflector):
    assert reflect(reflector, packet(9), at(ttl=61, dscp_ecn=46 << 2)) == Reply(
        sequence=0, timestamp=to_ntp(NOW + 1000), estimate=US, ssid=7, received=to_ntp(NOW),
        sender_sequence=9, sender_timestamp=to_ntp(NOW), sender_estimate=ErrorEstimate(), sender_ttl=61,
    )  # fmt: skip


def test_a_session_counts_its_own_packets_and_no_others(reflector):
    assert [reflect(reflector, packet(n), at()).sequence for n in (0, 5, 5)] == [0, 1, 2]
    assert reflect(reflector, packet(6), at(port=50_001)).sequence == 0
    assert reflect(reflector, packet(6, ssid=8), at()).sequence == 0
    assert reflect(reflector, packet(6), at(host="198.51.100.8")).sequence == 0
    assert reflect(reflector, packet(6), at()).sequence == 3
    assert reflector.sessions == 4
    assert reflector.counters["answered"] == 7


def test_any_of_the_keys_may_open_a_session(reflector):
    for sequence, key in enumerate((OTHER_KEY, OTHER_KEY, KEY)):
        assert reflect(reflector, packet(sequence, key), at(), key).sequence == sequence


def test_a_removed_key_verifies_nothing_and_sessions_of_other_keys_continue(reflector):
    assert reflect(reflector, packet(0, OTHER_KEY), at(), OTHER_KEY).sequence == 0
    assert reflect(reflector, packet(0, KEY, ssid=8), at()).sequence == 0
    reflector.take(ReflectorSettings(keys=(KEY, STRANGE_KEY)))
    assert reflector.receive(packet(1, OTHER_KEY), at(), US) is Drop.UNAUTHENTICATED
    assert reflect(reflector, packet(1, KEY, ssid=8), at()).sequence == 1
    assert reflect(reflector, packet(2, STRANGE_KEY), at(), STRANGE_KEY).sequence == 1


def test_an_unverified_packet_gets_neither_an_answer_nor_a_session(reflector):
    for data in (packet(key=STRANGE_KEY), packet(key=None), packet(key=None, extra=bytes(100))):
        assert reflector.receive(data, at(), US) is Drop.UNAUTHENTICATED
    assert reflector.sessions == 0
    assert reflector.counters[Drop.UNAUTHENTICATED] == 3


@pytest.mark.parametrize("settings", [ReflectorSettings(open_mode=True), ReflectorSettings(keys=(KEY,))])
def test_less_than_a_base_packet_and_more_than_a_frame_is_not_answered(settings):
    reflector, key = SessionReflector(settings), settings.keys[0] if settings.keys else None
    # In open mode a TWAMP Light sender's 14 bytes are enough.
    least = 14 if settings.open_mode else 44
    assert reflector.receive(packet(key=None)[: least - 1], at(), US) is Drop.SHORT
    extra = bytes(MOST_BYTES - len(packet(key=key)))
    assert isinstance(reflector.receive(packet(key=key, extra=extra), at(), US), Reflection)
    assert reflector.receive(packet(key=key, extra=extra + b"\0"), at(), US) is Drop.LONG


def test_the_own_port_and_groups_are_not_answered(reflector):
    assert reflector.receive(packet(), at(port=862), US) is Drop.OWN_PORT
    for group in ("224.0.0.1", "255.255.255.255", "ff02::1%eth0"):
        arrival = RequestArrival(NOW, ("198.51.100.7", 50_000), (group, 862))
        assert reflector.receive(packet(), arrival, US) is Drop.NOT_UNICAST


def test_open_mode_is_opt_in_and_works_together_with_keys():
    reflector = SessionReflector(ReflectorSettings(keys=(KEY,), open_mode=True))
    assert reflect(reflector, packet(0, None), at(), None).sequence == 0
    assert reflect(reflector, packet(1, KEY), at(), KEY).sender_sequence == 1
    assert reflector.receive(packet(2, STRANGE_KEY), at(), US) is Drop.UNAUTHENTICATED


@pytest.mark.parametrize("key", [KEY, None])
def test_two_reflectors_of_one_key_do_not_answer_each_other(key):
    first, second = (SessionReflector(ReflectorSettings(keys=(KEY,), open_mode=True)) for _ in range(2))
    reflection = first.receive(packet(key=key), at(), US)
    assert second.receive(reflection.encode(NOW), at(), US) is Drop.REFLECTED


def test_a_session_without_packets_expires():
    reflector = SessionReflector(ReflectorSettings(keys=(KEY,), expiry_ns=10 * SECOND))
    assert reflect(reflector, packet(0), at(NOW)).sequence == 0
    assert reflect(reflector, packet(1), at(NOW + 10 * SECOND)).sequence == 1
    assert reflect(reflector, packet(2), at(NOW + 21 * SECOND)).sequence == 0
    assert (reflector.sessions, reflector.counters["expired"]) == (1, 1)


def test_sessions_are_bounded_and_the_oldest_is_removed_first():
    reflector = SessionReflector(ReflectorSettings(keys=(KEY,), most_sessions=2))
    for port in (1, 2, 1, 3):
        reflect(reflector, packet(), at(port=port))
    assert (reflector.sessions, reflector.counters["evicted"]) == (2, 1)
    assert reflect(reflector, packet(), at(port=1)).sequence == 2
    assert reflect(reflector, packet(), at(port=2)).sequence == 0


def test_the_sequence_number_wraps(reflector):
    reflect(reflector, packet(), at())
    next(iter(reflector._sessions.values())).next_sequence = 2**32 - 1
    assert [reflect(reflector, packet(), at()).sequence for _ in range(2)] == [2**32 - 1, 0]


def dscp_of_reply(settings: ReflectorSettings, extra: bytes, dscp_ecn: int | None) -> int:
    return SessionReflector(settings).receive(packet(extra=extra), at(dscp_ecn=dscp_ecn), US).dscp_ecn


def test_the_reply_carries_the_received_dscp_without_ecn():
    settings = ReflectorSettings(keys=(KEY,))
    assert dscp_of_reply(settings, b"", 46 << 2 | 3) == 46 << 2
    assert dscp_of_reply(settings, b"", None) == 0


def test_a_wanted_dscp_is_granted_where_policy_allows():
    extra = tlv.request(sequence=0, key=KEY, wanted_dscp=46)
    strict = ReflectorSettings(keys=(KEY,), allows_dscp=lambda dscp: dscp < 40)
    assert dscp_of_reply(ReflectorSettings(keys=(KEY,)), extra, 10 << 2) == 46 << 2
    assert dscp_of_reply(strict, extra, 10 << 2) == 10 << 2


def test_extensions_switched_off_copy_everything():
    extra = tlv.request(sequence=0, key=KEY, wanted_dscp=46)
    reflector = SessionReflector(ReflectorSettings(keys=(KEY,), extensions=False))
    assert reflect(reflector, packet(extra=extra), at(dscp_ecn=0)).extra == extra


def test_class_of_service_reaches_the_sender_under_its_hmac(reflector):
    reflect(reflector, packet(0), at())
    extra = tlv.request(sequence=4, key=KEY, wanted_dscp=46, padding=bytes(20))
    reply = reflect(reflector, packet(4, extra=extra), at(dscp_ecn=10 << 2 | 2))
    # The reply's own number is covered, not the request's.
    assert reply.sequence == 1
    expected = tlv.ClassOfService(46, 10, 2)
    assert tlv.read_reply(reply.extra, reply.sequence, KEY).class_of_service == expected
    assert tlv.read_reply(reply.extra, 4, KEY).class_of_service is None


FOLLOW_UP = Tlv(Type.FOLLOW_UP, bytes(16)).encode()


def ask(reflector: SessionReflector, sequence: int, **where: int) -> tuple[Reflection, FollowUp]:
    """Send a request for Follow-Up Telemetry; return the reflection and its report of the previous one."""
    extra = tlv.request(sequence=sequence, key=KEY, wanted_dscp=None, follow_up=True)
    reflection = reflector.receive(packet(sequence, extra=extra), at(**where), US)
    reply = decode_reply(reflection.encode(NOW + 1000), KEY)
    return reflection, tlv.read_reply(reply.extra, reply.sequence, KEY).follow_up


def test_a_reply_reports_the_send_time_of_the_previous_one(reflector):
    first, told_by_first = ask(reflector, 0)
    assert first.follow_up
    assert told_by_first == FollowUp()
    reflector.transmitted(first, NOW + 5000)
    second, told_by_second = ask(reflector, 1)
    assert told_by_second == FollowUp(0, to_ntp(NOW + 5000), tlv.SOFTWARE_LOCAL)
    reflector.transmitted(second, NOW + 9000)
    assert ask(reflector, 2)[1] == FollowUp(1, to_ntp(NOW + 9000), tlv.SOFTWARE_LOCAL)


def test_a_send_time_is_reported_once_and_for_the_previous_reply_only(reflector):
    first, _ = ask(reflector, 0)
    assert ask(reflector, 1)[1] == FollowUp()
    reflector.transmitted(first, NOW + 5000)  # the reply that could have told it is on its way
    assert ask(reflector, 2)[1] == FollowUp()
    third, _ = ask(reflector, 3)
    reflector.transmitted(third, NOW + 6000)
    reflect(reflector, packet(4), at())  # asks for nothing
    assert ask(reflector, 5)[1] == FollowUp()


def test_sessions_keep_their_own_stamps(reflector):
    one, _ = ask(reflector, 0)
    other, _ = ask(reflector, 0, port=50_001)
    reflector.transmitted(one, NOW + 1)
    reflector.transmitted(other, NOW + 2_000_000)
    assert ask(reflector, 1)[1].timestamp == to_ntp(NOW + 1)
    assert ask(reflector, 1, port=50_001)[1].timestamp == to_ntp(NOW + 2_000_000)


def test_a_stamp_for_an_expired_session_has_no_effect():
    reflector = SessionReflector(ReflectorSettings(keys=(KEY,), most_sessions=1))
    gone, _ = ask(reflector, 0)
    ask(reflector, 0, port=50_001)
    reflector.transmitted(gone, NOW + 1)
    assert ask(reflector, 1)[1] == FollowUp()


def test_follow_up_telemetry_without_integrity_is_not_answered(reflector):
    first, _ = ask(reflector, 0)
    reflector.transmitted(first, NOW + 5000)
    reflection = reflector.receive(packet(1, extra=FOLLOW_UP), at(), US)
    assert not reflection.follow_up
    reply = decode_reply(reflection.encode(NOW), KEY)
    assert reply.extra == Tlv(Type.FOLLOW_UP, bytes(16), Flag.UNRECOGNISED | Flag.INTEGRITY).encode()


COS = Tlv(Type.CLASS_OF_SERVICE, bytes(4))


@pytest.mark.parametrize("tlvs", [
    [COS], [COS, Tlv(Type.HMAC, bytes(16))], [tlv.hmac_tlv(KEY, 0, []), COS], [Tlv(Type.HMAC, bytes(3))],
], ids=["missing", "wrong", "misplaced", "short"])  # fmt: skip
def test_tlvs_without_integrity_are_flagged_and_not_processed(reflector, tlvs):
    reply = reflect(reflector, packet(extra=tlv.encode(tlvs)), at(dscp_ecn=8))
    returned, _ = tlv.decode(reply.extra)
    assert all(one.flags & Flag.INTEGRITY for one in returned)
    assert [one.value for one in returned] == [one.value for one in tlvs]
    assert tlv.read_reply(reply.extra, reply.sequence, KEY).class_of_service is None


def test_padding_alone_needs_no_hmac(reflector):
    extra = Tlv(Type.EXTRA_PADDING, b"12345").encode()
    assert reflect(reflector, packet(extra=extra), at()).extra == Tlv(1, b"12345", 0).encode()


def test_a_malformed_tlv_is_flagged_and_ends_processing():
    reflector = SessionReflector(ReflectorSettings(open_mode=True))
    padding = Tlv(Type.EXTRA_PADDING, b"xx").encode()
    wrong_length = Tlv(Type.CLASS_OF_SERVICE, b"123").encode()
    reply = reflect(reflector, packet(key=None, extra=wrong_length + padding), at(dscp_ecn=0), None)
    assert reply.extra == Tlv(Type.CLASS_OF_SERVICE, b"123", Flag.MALFORMED).encode() + padding
    beyond = bytes.fromhex("80010009 00")
    reply = reflect(reflector, packet(key=None, extra=beyond), at(dscp_ecn=0), None)
    assert reply.extra == bytes.fromhex("c0010009 00")
    assert tlv.read_reply(reply.extra, 0, None).class_of_service is None


def test_class_of_service_is_unrecognised_without_a_dscp_from_the_kernel():
    reflector = SessionReflector(ReflectorSettings(open_mode=True))
    extra = tlv.request(sequence=0, key=None, wanted_dscp=46)
    assert reflect(reflector, packet(key=None, extra=extra), at(dscp_ecn=None), None).extra == extra


@pytest.mark.parametrize(("settings", "message"), [
    ({}, "a STAMP reflector needs a key, or open mode switched on"),
    ({"keys": (b"k",) * 257}, "a STAMP reflector takes at most 256 keys, not 257"),
    ({"keys": (b"k", b"")}, "a STAMP key must not be empty"),
    ({"keys": (b"k",), "most_sessions": 0},
     "a STAMP reflector needs room for a session and a time to keep it"),
])  # fmt: skip
def test_settings_that_answer_nothing_are_refused(settings, message):
    with pytest.raises(ValueError) as refused:
        ReflectorSettings(**settings)
    assert str(refused.value) == message


def test_repr_shows_no_key(reflector):
    reflection = reflector.receive(packet(), at(), US)
    assert "site one" not in repr(ReflectorSettings(keys=(KEY,))) + repr(reflection)


@pytest.mark.parametrize("padding", [b"", bytes(10), b"\xa5" * 23])
def test_a_twamp_light_sender_gets_the_base_packet(padding):
    """RFC 8762 section 4.6: 14 bytes without an SSID, and padding that is no TLV."""
    reflector = SessionReflector(ReflectorSettings(open_mode=True))
    request = packet(7, key=None)[:14] + padding
    answered = reflector.receive(request, at(), US)
    assert isinstance(answered, Reflection)
    data = answered.encode(0)
    assert len(data) == 44
    reply = decode_reply(data)
    assert (reply.sender_sequence, reply.ssid, reply.extra) == (7, 0, b"")


def test_a_twamp_light_reply_with_a_forged_source_is_not_answered():
    reflector = SessionReflector(ReflectorSettings(open_mode=True))
    answered = reflector.receive(packet(key=None), at(), US)
    assert isinstance(answered, Reflection)
    assert reflector.receive(answered.encode(1)[:38], at(), US) is Drop.REFLECTED


def _flood(reflector: SessionReflector, now: int, host: Callable[[int], str], packets: int) -> Counter[Drop]:
    """Packets of no key, from a port each, spread over a second."""
    return Counter(
        reflector.receive(packet(0, STRANGE_KEY), at(now + SECOND * n // packets, 1024 + n, host(n)), US)
        for n in range(packets)
    )


@pytest.mark.parametrize("host", [
    pytest.param(lambda _: "198.51.100.7", id="address of the sites"),
    pytest.param(lambda n: f"10.0.{n >> 8}.{n & 255}", id="forged addresses"),
])  # fmt: skip
def test_a_flood_of_unknown_packets_costs_known_sites_nothing(
    monkeypatch: pytest.MonkeyPatch, host: Callable[[int], str]
) -> None:
    """With 256 keys, 3,000 such packets a second were tried with each of them."""
    keys = tuple(b"key %d" % number for number in range(256))
    reflector = SessionReflector(ReflectorSettings(keys=keys))
    reflect(reflector, packet(0, keys[200]), at(port=9), keys[200])
    tried = []
    honest = reflector_module.decode_request
    monkeypatch.setattr(
        reflector_module, "decode_request", lambda data, key: tried.append(key) or honest(data, key)
    )
    dropped = _flood(reflector, NOW + SECOND, host, 3000)
    assert dropped[Drop.BUDGET] + dropped[Drop.UNAUTHENTICATED] == 3000
    assert dropped[Drop.BUDGET] > 2800
    # Those of the address that was verified before are 3,000 more.
    assert len(tried) <= 20_000 + 2_048 + 3_000
    tried.clear()
    now = NOW + 2 * SECOND
    assert reflect(reflector, packet(1, keys[200]), at(now, port=9), keys[200]).sequence == 1
    assert reflect(reflector, packet(0, keys[200]), at(now, port=10), keys[200]).sequence == 0
    assert tried == [keys[200]] * 2, "the session's key first, then that of the address"


def test_a_flood_of_one_flow_leaves_the_budget_to_the_others() -> None:
    keys = tuple(b"key %d" % number for number in range(256))
    reflector = SessionReflector(ReflectorSettings(keys=keys))
    for n in range(3000):
        now = NOW + n * SECOND // 3000
        reflector.receive(packet(0, STRANGE_KEY), at(now, port=7), US)
        if n % 300 == 299:
            # A site that was never seen before, at the same address.
            reflect(reflector, packet(0, keys[n % 256]), at(now, port=1024 + n), keys[n % 256])
    assert reflector.counters[Drop.UNAUTHENTICATED] <= 5
    assert reflector.counters["answered"] == 10
