"""Probing packets byte by byte, and ICMP messages as routers send them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probes.path.packets import Flow, packet, quoted
from wire.path.probing import AnswerKind

FLOW = Flow("192.0.2.1", "198.51.100.9", 40000, 862, 46)
FLOW_6 = Flow("2001:db8::1", "2001:db8::9", 40000, 862, 46)
ROUTER, ROUTER_6 = "192.0.2.77", "2001:db8::77"
PAYLOAD = (7).to_bytes(4) + bytes(108)


def icmp(kind: int, code: int, about: bytes, rest: int = 0, source: str = ROUTER) -> bytes:
    """An ICMP message in its IP packet, as a raw socket gives it."""
    body = struct.pack("!BBHI", kind, code, 0, rest) + about
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, 1, 0)
    return head + bytes(map(int, source.split("."))) + bytes([192, 0, 2, 1]) + body


def folded(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_a_packet_has_the_requested_headers() -> None:
    data = packet(FLOW, 7, 3, PAYLOAD)
    version, tos, length, identification, fragment, ttl, protocol = struct.unpack_from("!BBHHHBB", data)
    assert (version, tos, length, identification) == (0x45, 46 << 2, len(data), 8)
    assert (fragment, ttl, protocol) == (0x4000, 3, 17)
    assert struct.unpack_from("!HHH", data, 20) == (40000, 862, len(data) - 20)
    assert data[28:] == PAYLOAD
    assert folded(data[:20]) == 0xFFFF
    pseudo = data[12:20] + struct.pack("!HH", 17, len(data) - 20)
    assert folded(pseudo + data[20:]) == 0xFFFF


def test_all_packets_are_of_one_flow() -> None:
    ports = {packet(FLOW, number, number + 1, PAYLOAD)[12:24] for number in range(9)}
    assert len(ports) == 1


def test_an_ipv6_packet_has_no_flow_label_of_its_own() -> None:
    data = packet(FLOW_6, 7, 3, PAYLOAD)
    word, length, following, limit = struct.unpack_from("!IHBB", data)
    assert (word, length, following, limit) == (6 << 28 | 46 << 22, 8 + len(PAYLOAD), 17, 3)
    pseudo = data[8:40] + struct.pack("!IHH", length, 0, 17)
    assert folded(pseudo + data[40:]) == 0xFFFF


@pytest.mark.parametrize("kept", [28, 140], ids=["eight bytes quoted", "all quoted"])
@pytest.mark.parametrize(("kind", "code", "rest", "source", "found", "told"), [
    (11, 0, 0, ROUTER, AnswerKind.EXPIRED, 0),
    (3, 4, 1400, ROUTER, AnswerKind.TOO_BIG, 1400),
    (3, 4, 0, ROUTER, AnswerKind.TOO_BIG, 0),
    (3, 3, 0, "198.51.100.9", AnswerKind.PORT_UNREACHABLE, 0),
    (3, 3, 0, ROUTER, AnswerKind.UNREACHABLE, 0),
    (3, 13, 0, ROUTER, AnswerKind.UNREACHABLE, 0),
])  # fmt: skip
def test_messages_about_a_packet(
    kind: int, code: int, rest: int, source: str, found: AnswerKind, told: int, kept: int
) -> None:
    about = bytearray(packet(FLOW, 7, 1, PAYLOAD)[:kept])
    about[1] = 10 << 2
    message = quoted(FLOW, icmp(kind, code, bytes(about), rest, source), source)
    assert message is not None
    assert (message.number, message.answer.kind, message.answer.address) == (7, found, source)
    assert (message.answer.dscp, message.answer.reported_mtu) == (10, told)


@pytest.mark.parametrize(("kind", "code", "rest", "source", "found", "told"), [
    (3, 0, 0, ROUTER_6, AnswerKind.EXPIRED, 0),
    (2, 0, 1400, ROUTER_6, AnswerKind.TOO_BIG, 1400),
    (1, 4, 0, "2001:db8::9", AnswerKind.PORT_UNREACHABLE, 0),
    (1, 4, 0, ROUTER_6, AnswerKind.UNREACHABLE, 0),
    (1, 0, 0, ROUTER_6, AnswerKind.UNREACHABLE, 0),
])  # fmt: skip
def test_messages_about_an_ipv6_packet(
    kind: int, code: int, rest: int, source: str, found: AnswerKind, told: int
) -> None:
    data = struct.pack("!BBHI", kind, code, 0, rest) + packet(FLOW_6, 7, 1, PAYLOAD)
    message = quoted(FLOW_6, data, source)
    assert message is not None
    assert (message.number, message.answer.kind, message.answer.address) == (7, found, source)
    assert (message.answer.dscp, message.answer.reported_mtu) == (46, told)


@pytest.mark.parametrize("other", [
    Flow("192.0.2.1", "198.51.100.9", 40001, 862, 46),
    Flow("192.0.2.1", "198.51.100.9", 40000, 863, 46),
    Flow("192.0.2.1", "198.51.100.8", 40000, 862, 46),
])  # fmt: skip
def test_messages_about_other_packets_are_ignored(other: Flow) -> None:
    assert quoted(FLOW, icmp(11, 0, packet(other, 7, 1, PAYLOAD)), ROUTER) is None


def test_an_echo_request_is_no_message_about_a_packet() -> None:
    assert quoted(FLOW, icmp(8, 0, packet(FLOW, 7, 1, PAYLOAD)), ROUTER) is None


@given(st.binary(max_size=200), st.sampled_from([FLOW, FLOW_6]))
def test_any_bytes_are_read_without_an_exception(data: bytes, flow: Flow) -> None:
    quoted(flow, data, ROUTER)


@given(st.integers(0, 199), st.integers(0, 255))
def test_a_message_with_one_wrong_byte_raises_no_exception(place: int, value: int) -> None:
    data = bytearray(icmp(11, 0, packet(FLOW, 7, 1, PAYLOAD)))
    data[place % len(data)] = value
    quoted(FLOW, bytes(data), ROUTER)
