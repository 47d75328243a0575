"""Layouts of RFC 9946, and parsers that must accept any bytes."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from wire.udpstp import pdu

Parser = Callable[[bytes], object]
BITS_16, BITS_32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
OCTET = st.integers(0, 255)

setups = st.builds(
    pdu.Setup, ident=BITS_16, auth_time=BITS_32, key_id=OCTET, command=OCTET, response=OCTET,
    bandwidth_mbps=st.integers(0, 0x7FFF), upstream=st.booleans(), test_port=BITS_16, modifiers=OCTET,
    index=OCTET, count=OCTET, version=BITS_16, auth_mode=OCTET, digest=st.binary(min_size=32, max_size=32),
)  # fmt: skip
nulls = st.builds(
    pdu.Null, auth_time=BITS_32, key_id=OCTET, auth_mode=OCTET, digest=st.binary(min_size=32, max_size=32)
)
rates = st.builds(pdu.SendingRate, **{field.name: BITS_32 for field in fields(pdu.SendingRate)})
activations = st.builds(
    pdu.Activation, command=OCTET, row=BITS_16, test_s=BITS_16, auth_time=BITS_32, key_id=OCTET,
    response=OCTET, dscp_ecn=OCTET, one_way_variation=OCTET, trial_interval=BITS_16, modifiers=OCTET,
    rate=rates, sub_interval=BITS_16, digest=st.binary(min_size=32, max_size=32),
)  # fmt: skip
_BLOCK = {field.name: BITS_32 for field in fields(pdu.SubInterval)} | {
    "payload_bytes": st.integers(0, 2**64 - 1)
}
sub_intervals = st.builds(pdu.SubInterval, **_BLOCK)
_STATUS_OTHER = {
    "action": st.integers(0, 2), "receive_stopped": OCTET, "minimum_updated": OCTET, "rate": rates,
    "sub_interval": sub_intervals, "clock_delta_min": st.integers(-(2**31), 2**31 - 1),
}  # fmt: skip
statuses = st.builds(
    pdu.Status, **dict.fromkeys((field.name for field in fields(pdu.Status)), BITS_32) | _STATUS_OTHER
)
KINDS: list[tuple[st.SearchStrategy[object], Parser, int]] = [
    (setups, pdu.parse_setup, 56),
    (nulls, pdu.parse_null, 48),
    (activations, pdu.parse_activation, 104),
    (statuses, pdu.parse_status, 204),
]


@given(data=st.data())
def test_packed_pdus_are_parsed_to_the_same_values(data: st.DataObject) -> None:
    strategy, parse, size = data.draw(st.sampled_from(KINDS))
    value = data.draw(strategy)
    packet = value.pack()  # type: ignore[attr-defined]
    assert len(packet) == size
    assert parse(packet) == value


@pytest.mark.parametrize(("kind", "at", "width"), [
    ("interval_us", 140, 4), ("datagrams", 144, 4), ("payload_bytes", 148, 4), ("sent_s", 152, 4),
    ("sent_ns", 156, 4), ("sub_interval_number", 36, 4), ("lost", 96, 4), ("rtt_minimum", 128, 4),
    ("delay_sum", 120, 4), ("minimum_updated", 136, 1),
])  # fmt: skip
def test_status_offsets(kind: str, at: int, width: int) -> None:
    marked = pdu.Status(sequence=1, **{kind: 0x5A}).pack()  # type: ignore[arg-type]
    assert int.from_bytes(marked[at : at + width]) == 0x5A


def test_bytes_of_a_sub_interval_are_unaligned_behind_its_datagrams() -> None:
    block = pdu.SubInterval(datagrams=1, payload_bytes=2**40, duration_us=3).pack()
    assert block[:16] == bytes.fromhex("00000001 0000010000000000 00000003".replace(" ", ""))


def test_stale_bytes_behind_a_status_are_ignored() -> None:
    """The reference program leaves 16 of them at offsets 188 to 203, checkSum included."""
    clean = pdu.Status(sequence=9, datagrams=50)
    stale = bytes.fromhex("00320000beef000000000c9d04c60000")
    assert pdu.parse_status(clean.pack()[:188] + stale) == clean
    assert pdu.parse_status(clean.pack()[:200] + b"\x00\x00\xab\xcd") == clean


def test_checksum_of_a_captured_load_header() -> None:
    header = bytearray.fromhex("beef00000000000103cc000000000000000000006b03435712bc2f8f00060000")
    assert pdu.checksum(bytes(header)) == 0x4C97
    header[30:] = (0x4C97).to_bytes(2)
    assert pdu.is_load(header + bytes(940))
    header[5] ^= 1
    assert not pdu.is_load(header + bytes(940))


def test_checksum_of_control_pdus_is_verified_when_present() -> None:
    packet = pdu.Setup(ident=5, auth_time=7, key_id=1).pack()
    summed = packet[:-2] + pdu.checksum(packet).to_bytes(2)
    assert pdu.parse_setup(summed) is not None
    assert pdu.parse_setup(summed[:-1] + bytes([summed[-1] ^ 1])) is None


@pytest.mark.parametrize("header", ["beef03000000", "beef00020000", "beee00000000"])
def test_impossible_load_headers(header: str) -> None:
    assert not pdu.is_load(bytes.fromhex(header).ljust(32, b"\0"))
