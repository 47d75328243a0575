"""Numbers and delays of each tool's packets in a link's log."""

import struct

import pytest

from lab.bench.accuracy.tools import truth
from lab.netns.links.passages import Passage
from lab.netns.places import STAMP_PORT
from wire.stamp.packet import Reply, Request, encode_reply, encode_request
from wire.stamp.timestamp import ErrorEstimate

KEY = b"0123456789abcdef"
US = ErrorEstimate()
REQUEST = encode_request(Request(7, 1, US, 42), KEY)
REPLY = encode_reply(Reply(9, 2, US, 42, 3, 7, 1, US, 64), KEY)
# As captured from irtt 0.9.0: open, echo request, echo reply; sequence number 1.
IRTT_OPEN = "14a75b010102028088debe010380b48913050606060706"
IRTT_REQUEST = "14a75b0033412c18a45e26e60100000000000000000000000000000000000000"
IRTT_REPLY = "14a75b0233412c18a45e26e601000000020000000300000000000000d941ccce"


def udp(source: int, destination: int, payload: bytes) -> bytes:
    ip = bytes((0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17)) + bytes(10)
    return ip + struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def icmp(kind: int, number: int) -> bytes:
    ip = bytes((0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1)) + bytes(10)
    return ip + struct.pack("!BBHHH", kind, 0, 0, 77, number) + bytes(16)


@pytest.mark.parametrize(("key", "head", "number"), [
    (truth.stamp_number, udp(50_000, STAMP_PORT, REQUEST), 7),
    (truth.stamp_number, udp(STAMP_PORT, 50_000, REPLY), 7),
    (truth.stamp_number, udp(STAMP_PORT, 50_000, REPLY[:40]), None),
    (truth.stamp_number, udp(50_000, 53, REQUEST), None),
    (truth.stamp_number, icmp(8, 7), None),
    (truth.stamp_own_number, udp(50_000, STAMP_PORT, REQUEST), 7),
    (truth.stamp_own_number, udp(STAMP_PORT, 50_000, REPLY), 9),
    (truth.ping_number, icmp(8, 513), 513),
    (truth.ping_number, icmp(0, 513), 513),
    (truth.ping_number, icmp(3, 513), None),
    (truth.ping_number, udp(50_000, STAMP_PORT, REQUEST), None),
    (truth.irtt_number, udp(40_000, truth.IRTT_PORT, bytes.fromhex(IRTT_REQUEST)), 1),
    (truth.irtt_number, udp(truth.IRTT_PORT, 40_000, bytes.fromhex(IRTT_REPLY)), 1),
    (truth.irtt_number, udp(40_000, truth.IRTT_PORT, bytes.fromhex(IRTT_OPEN)), None),
    (truth.irtt_number, udp(40_000, truth.IRTT_PORT, bytes(3)), None),
])  # fmt: skip
def test_the_number_of_a_packet_is_read(key: truth.Key, head: bytes, number: int | None) -> None:
    assert key(head) == number


def test_delays_are_of_numbered_packets_that_have_left() -> None:
    log = [
        Passage(10, 35, 40, icmp(8, 1)),
        Passage(20, None, 40, icmp(8, 2)),
        Passage(30, 50, 40, icmp(3, 3)),
    ]
    assert truth.delays(log, truth.ping_number) == {1: 25}


def test_reordering_is_counted_in_the_order_of_exit() -> None:
    # RFC 4737: 1 and 2 left after 3; 5 never left.
    left = {0: 10, 1: 40, 2: 50, 3: 30, 4: 60, 5: None}
    log = [Passage(number, at, 40, icmp(8, number)) for number, at in left.items()]
    assert truth.reordered(log, truth.ping_number) == 2
