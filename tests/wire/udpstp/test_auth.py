"""Key derivation and digests against the vector captured from the reference program (version 9.0.0)."""

import pytest

from wire.udpstp import auth, pdu
from wire.udpstp.auth import AuthenticationFault

SECRET = b"testkey123"
TIME = 1795375959
REQUEST = bytes.fromhex(
    "ace100140001677201000000000001016b034357"
    "f3513e741a73cae8c72c585ba4f2f6164bedc2e0feba8023ccaf350aca3e27a6"
    "07000000"
)
RESPONSE = bytes.fromhex(
    "ace100140001677202010000ac3601016b034357"
    "3acb3166508ca9d67ef7838e58216660cdb8283c0a51e2e1c2e05cc230a1b5a0"
    "07000000"
)
NULL = bytes.fromhex(
    "dead0014010000016b0343578d41a0d5187f8d7ce6c11b89b4461088c05531a04f085aa65c31c118ae9d39fe07000000"
)


@pytest.mark.parametrize(("time", "client", "server"), [
    (TIME, "298f550d67837509070fddd1fab8d444d900b44644bc71f9db5f2926ea90a91d",
     "4e1306e44be0e4ccd53dd3cde386e248fc8d5b2c8bd3f54d2bb281654700a7e3"),
    (1775000000, "e9aec93a9c2c53b516323453c304f9485a2423c96497f4cd6344a000e23e4fd9",
     "6dd58f74a392e24ee8aa0c7a3b424e63a1fa0b78ddb61b30221ac04e61751942"),
])  # fmt: skip
def test_derived_keys(time: int, client: str, server: str) -> None:
    keys = auth.derive_keys(SECRET, time)
    assert (keys.client.hex(), keys.server.hex()) == (client, server)


def test_repr_of_keys_shows_no_key() -> None:
    keys = auth.derive_keys(SECRET, TIME)
    assert keys.client.hex() not in repr(keys)
    assert repr(keys.client) not in repr(keys)


def test_captured_control_pdus_are_rebuilt_to_the_byte() -> None:
    keys = auth.derive_keys(SECRET, TIME)
    request = pdu.Setup(ident=0x6772, auth_time=TIME, key_id=7)
    response = pdu.Setup(
        ident=0x6772, auth_time=TIME, key_id=7, command=pdu.RESPONSE, response=1, test_port=44086
    )
    assert auth.sign(request.pack(), keys.client) == REQUEST
    assert auth.sign(response.pack(), keys.server) == RESPONSE
    assert auth.sign(pdu.Null(auth_time=TIME, key_id=7).pack(), keys.server) == NULL


@pytest.mark.parametrize(("packet", "side"), [(REQUEST, "client"), (RESPONSE, "server"), (NULL, "server")])
def test_captured_digests_verify_and_altered_ones_do_not(packet: bytes, side: str) -> None:
    key = getattr(auth.derive_keys(SECRET, TIME), side)
    assert auth.fault(packet, key, 1, TIME, TIME) is None
    for at in (4, 8, 25, len(packet) - 4):
        altered = packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :]
        assert auth.fault(altered, key, 1, TIME, TIME) is AuthenticationFault.DIGEST


@pytest.mark.parametrize(
    ("seconds", "believed"), [(-6, False), (-5, True), (0, True), (5.9, True), (6, False)]
)
def test_time_window(seconds: float, believed: bool) -> None:
    key = auth.derive_keys(SECRET, TIME).client
    wanted = None if believed else AuthenticationFault.TIME
    assert auth.fault(REQUEST, key, 1, TIME, TIME + seconds) is wanted


def test_the_mode_is_checked_before_the_digest_and_the_checksum_is_outside_of_it() -> None:
    key = auth.derive_keys(SECRET, TIME).client
    assert auth.fault(REQUEST, b"", 2, TIME, TIME) is AuthenticationFault.MODE
    assert auth.fault(REQUEST[:-2] + b"\x12\x34", key, 1, TIME, TIME) is None


def test_a_replay_is_recognised_as_long_as_its_time_is_accepted() -> None:
    cache = auth.ReplayCache()
    assert cache.fault(100, b"a", "here", 95.0) is None
    assert cache.fault(100, b"b", "here", 96.0) is None
    assert cache.fault(100, b"a", "elsewhere", 105.9) is AuthenticationFault.REPLAYED
    assert not auth.is_timely(100, 106.0)
    assert cache.fault(100, b"a", "here", 107.0) is None


def test_a_clock_set_back_does_not_block_the_replay_cache() -> None:
    cache = auth.ReplayCache(capacity=2)
    assert cache.fault(4000, b"a", "here", 4000.0) is None
    assert [cache.fault(time, b"b", "here", float(time)) for time in (400, 411, 422)] == [None] * 3


def test_a_full_replay_cache_refuses_instead_of_forgetting() -> None:
    cache = auth.ReplayCache(capacity=2)
    found = [cache.fault(100, digest, "here", 100.0) for digest in (b"a", b"b", b"c", b"a")]
    assert found == [None, None, AuthenticationFault.CROWDED, AuthenticationFault.REPLAYED]
    assert cache.fault(112, b"c", "here", 112.0) is None


def test_one_address_does_not_fill_the_replay_cache_of_its_key() -> None:
    cache = auth.ReplayCache(capacity=9, per_source=2)
    found = [cache.fault(100, bytes([number]), "one", 100.0) for number in range(3)]
    assert found == [None, None, AuthenticationFault.CROWDED]
    assert cache.fault(100, b"a", "other", 100.0) is None
    assert cache.fault(112, b"b", "one", 112.0) is None, "what has expired leaves its room"
