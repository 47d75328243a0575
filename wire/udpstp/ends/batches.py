"""Batches: several datagrams of one size back to back in one buffer, for one system call.

The kernel cuts such a buffer into datagrams when it sends (UDP_SEGMENT), and joins datagrams of one flow when
it receives (UDP_GRO). The last one may be shorter. Load PDUs that follow each other in a batch and differ
only in their number are a run. Reading, counting or packing a run costs little more than one packet.
"""

import struct
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from wire.udpstp import pdu

MOST_SEGMENTS = 64
"""Limit of older kernels for one call (UDP_MAX_SEGMENTS, ``include/linux/udp.h``)."""

MOST_BYTES = 65_507
"""Largest UDP payload over IPv4; the kernel builds a batch as one datagram of that size at most."""

_S = 1_000_000_000
_NUMBER_AT, _AFTER_NUMBER = 4, 8
_HEADER = pdu.LOAD_HEADER.size
# A load has few sizes and counts: each layout is compiled once.
_LAYOUTS_KEPT = 16

Bytes = bytes | bytearray | memoryview


class LoadRun(Struct, eq=False):
    """Run of ``count`` Load PDUs, numbered from ``first`` on and otherwise equal.

    ``payload`` is udpPayload in bytes, ``sent`` the send stamp in Unix ns. ``echo`` is the send time (s, ns)
    of the latest Status, and ``response_delay`` the time in ms from its reception to this PDU (§8.1).
    """

    action: int
    first: int
    count: int
    payload: int
    echo: tuple[int, int]
    sent: int
    response_delay: int

    @property
    def last(self) -> int:
        """Sequence number of the last packet."""
        return self.first + self.count - 1

    def singles(self) -> Iterator["LoadRun"]:
        """Split the run into runs of one packet."""
        for number in range(self.first, self.first + self.count):
            yield replace(self, first=number, count=1)


def datagrams(size: int, segment_bytes: int) -> int:
    """Count the datagrams in ``size`` bytes of segments of ``segment_bytes``; 0 means a single datagram."""
    return -(-size // segment_bytes) if 0 < segment_bytes < size else 1


def pieces(data: Bytes, segment_bytes: int) -> Iterator[bytes]:
    """Split a batch into its datagrams."""
    if not 0 < segment_bytes < len(data):
        yield bytes(data)
        return
    for begin in range(0, len(data), segment_bytes):
        yield bytes(data[begin : begin + segment_bytes])


def load_runs(data: Bytes, segment_bytes: int) -> Iterator[LoadRun]:
    """Find the valid Load PDUs of a batch, in their order; other datagrams are skipped."""
    # Segments without room for a header have no common layout to read them by.
    if segment_bytes < _HEADER or segment_bytes >= len(data):
        yield from _alone(data, segment_bytes)
        return
    whole = len(data) // segment_bytes * segment_bytes
    for begin in range(0, whole, segment_bytes * MOST_SEGMENTS):
        part = data[begin : min(begin + segment_bytes * MOST_SEGMENTS, whole)]
        yield from _runs(part, segment_bytes)
    if whole < len(data):
        yield from _alone(data[whole:], 0)


def _alone(data: Bytes, segment_bytes: int) -> Iterator[LoadRun]:
    for packet in pieces(data, segment_bytes) if 0 < segment_bytes < len(data) else (data,):
        if pdu.is_load(packet):
            yield _run(packet, 1)


def _run(packet: Bytes, count: int) -> LoadRun:
    (
        _, action, _, number, payload, _, echo_s, echo_ns, sent_s, sent_ns, response_delay, _,
    ) = pdu.LOAD_HEADER.unpack_from(packet)  # fmt: skip
    return LoadRun(action, number, count, payload, (echo_s, echo_ns), sent_s * _S + sent_ns, response_delay)


def _runs(data: Bytes, segment_bytes: int) -> Iterator[LoadRun]:
    count = len(data) // segment_bytes
    fields = _layout(segment_bytes, count).unpack_from(data)
    heads, numbers, tails = fields[0::3], fields[1::3], fields[2::3]
    begin = 0
    while begin < count:
        end = _end_of_run(heads, numbers, tails, begin)
        packet = data[begin * segment_bytes : (begin + 1) * segment_bytes]
        # One check for the whole run: its packets differ in the number alone, which no check depends on.
        if pdu.is_load(packet):
            yield _run(packet, end - begin)
        begin = end


def _end_of_run(
    heads: tuple[bytes, ...], numbers: tuple[int, ...], tails: tuple[bytes, ...], begin: int
) -> int:
    head, number, tail, count = heads[begin], numbers[begin], tails[begin], len(heads)
    # A checksum covers the number, so that a packet with one equals no other and is a run of its own.
    if tail[-2:] != b"\0\0":
        return begin + 1
    # The usual case first, compared in C: the whole batch is one run.
    alike = not begin and tails.count(tail) == count and heads.count(head) == count
    if alike and numbers == tuple(range(number, number + count)):
        return count
    end = begin + 1
    while end < count and tails[end] == tail and heads[end] == head and numbers[end] == number + end - begin:
        end += 1
    return end


def pack_run(buffer: bytearray, segment_bytes: int, count: int, number: int) -> None:
    """Repeat the Load header at the start of ``buffer`` in ``count`` segments, from number ``number`` on."""
    if count < 2:
        return
    head, tail = bytes(buffer[:_NUMBER_AT]), bytes(buffer[_AFTER_NUMBER:_HEADER])
    fields: list[bytes | int] = [head, 0, tail] * count
    fields[1::3] = range(number, number + count)
    _layout(segment_bytes, count).pack_into(buffer, 0, *fields)


@lru_cache(_LAYOUTS_KEPT)
def _layout(segment_bytes: int, count: int) -> struct.Struct:
    """Layout of the segments: bytes before the number, the number, the rest of the header, the payload."""
    tail = _HEADER - _AFTER_NUMBER
    return struct.Struct("!" + f"{_NUMBER_AT}sI{tail}s{segment_bytes - _HEADER}x" * count)
