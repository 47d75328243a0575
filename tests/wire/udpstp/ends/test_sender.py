"""Times of load packets: absolute deadlines, and three packets of catch-up."""

import pytest

from wire.udpstp import pdu, rates
from wire.udpstp.ends.sender import LoadSender
from wire.udpstp.pdu import SendingRate, Status

MS = 1_000_000
S = 1_000_000_000
WALL = 1_795_375_959 * S


def sender_at(row: int, *, seconds: int = 1, ipv6: bool = False) -> LoadSender:
    return LoadSender(rates.sending_rate(row), ipv6=ipv6, start=0, end=seconds * S, wall=WALL)


def run(sender: LoadSender, wakings: list[int]) -> list[int]:
    """Send the due packets at each time of ``wakings``, and count them."""
    buffer = bytearray(2000)
    counts = []
    for now in wakings:
        count = 0
        while sender.pack(buffer, now, WALL + now):
            count += 1
        counts.append(count)
    return counts


@pytest.mark.parametrize(("row", "seconds", "packets", "payload"), [
    (8, 2, 2000, 2000 * 972), (10, 1, 1000, 1000 * 1222), (15, 1, 2000, 1000 * (1222 + 597)),
    (123, 1, 10_000 + 3 * 1000, 10_000 * 1222 + 1000 * (2 * 1222 + 347)),
])  # fmt: skip
def test_a_punctual_sender_sends_exactly_its_row(row: int, seconds: int, packets: int, payload: int) -> None:
    sender = sender_at(row, seconds=seconds)
    buffer = bytearray(2000)
    while not sender.done:
        assert sender.pack(buffer, sender.deadline, WALL + sender.deadline)
    assert (sender.sent_packets, sender.sent_payload_bytes, sender.stall_ns) == (packets, payload, 0)
    assert sender.sent_payload_bytes + 28 * packets == row * 125_000 * seconds
    assert sender.pack(buffer, seconds * S, WALL) == 0


def test_no_packet_is_sent_before_its_deadline() -> None:
    assert run(sender_at(8), [0, MS - 1, MS, 2 * MS - 1]) == [1, 0, 1, 0]


def test_a_late_sender_catches_up_by_three_packets_without_stall() -> None:
    sender = sender_at(8)
    assert run(sender, [0, 4 * MS, 5 * MS]) == [1, 4, 1]
    assert sender.stall_ns == 0


def test_beyond_three_packets_the_schedule_is_shifted() -> None:
    sender = sender_at(8)
    assert run(sender, [0, 304 * MS, 305 * MS, 306 * MS]) == [1, 4, 1, 1]
    assert (sender.stall_ns, sender.longest_gap_ns) == (300 * MS, 304 * MS)


def test_a_stall_at_the_end_sends_nothing_after_the_end() -> None:
    sender = sender_at(8)
    assert run(sender, [0, 1500 * MS]) == [1, 0]
    assert sender.done


def test_headers_number_packets_and_echo_the_latest_status() -> None:
    sender = sender_at(8)
    buffer = bytearray(2000)
    sender.pack(buffer, 0, WALL)
    assert pdu.LOAD_HEADER.unpack_from(buffer)[3:8] == (1, 972, 0, 0, 0)
    sender.feedback(Status(sequence=3, sent_s=11, sent_ns=12), WALL + MS)
    sender.pack(buffer, MS, WALL + 8 * MS)
    _, _, _, sequence, _, errors, echo_s, echo_ns, sent_s, sent_ns, delay, _ = pdu.LOAD_HEADER.unpack_from(
        buffer
    )
    assert (sequence, errors, echo_s, echo_ns, delay) == (2, 2, 11, 12, 7)
    assert (sent_s, sent_ns) == (WALL // S, 8 * MS)
    sender.feedback(Status(sequence=2, sent_s=10, sent_ns=0), WALL + 9 * MS)
    sender.pack(buffer, 2 * MS, WALL + 9 * MS)
    assert pdu.LOAD_HEADER.unpack_from(buffer)[5] == 0xFFFF


def test_a_packet_the_kernel_refused_takes_no_number() -> None:
    sender = sender_at(8)
    buffer = bytearray(2000)
    sender.pack(buffer, 0, WALL)
    sender.blocked()
    sender.pack(buffer, MS, WALL)
    assert pdu.LOAD_HEADER.unpack_from(buffer)[3] == 1
    assert (sender.sent_packets, sender.sent_payload_bytes, sender.blocked_sends) == (1, 972, 1)


@pytest.mark.parametrize(("left", "refused"), [(0, 4), (1222, 3), (2444, 2), (3666, 1)])
def test_packets_of_a_batch_that_the_kernel_refused_take_no_number(left: int, refused: int) -> None:
    """Row 33 sends three full packets and a shorter one every millisecond."""
    sender = sender_at(33)
    buffer = bytearray(65_535)
    sender.pack(buffer, 0, WALL)
    assert (sender.pack(buffer, MS, WALL), sender.segment_bytes) == (3 * 1222 + 347, 1222)
    sender.blocked(left)
    assert (sender.sent_packets, sender.blocked_sends) == (8 - refused, refused)
    assert sender.sent_payload_bytes == 3 * 1222 + 347 + left
    assert sender.longest_gap_ns == (MS if left else 0)
    sender.pack(buffer, 2 * MS, WALL)
    assert pdu.LOAD_HEADER.unpack_from(buffer)[3] == 9 - refused


def test_a_high_rate_is_sent_every_half_millisecond_with_one_send_stamp() -> None:
    sender = sender_at(1000)
    buffer = bytearray(65_535)
    assert sender.pack(buffer, 399_999, WALL) == 0
    assert sender.pack(buffer, 400_000, WALL + 400_000) == 50 * 1222
    headers = [pdu.LOAD_HEADER.unpack_from(buffer, at * 1222) for at in range(50)]
    assert [header[3] for header in headers] == list(range(1, 51))
    assert {header[8:10] for header in headers} == {(WALL // S, 400_000)}
    assert sender.pack(buffer, 400_001, WALL) == 0


def test_a_packet_smaller_than_its_header_is_not_sent_in_a_batch() -> None:
    rate = SendingRate(interval_1_us=100, payload_1=20, burst_1=10)
    sender = LoadSender(rate, ipv6=False, start=0, end=S, wall=WALL)
    assert sender.pack(bytearray(2000), 400_000, WALL) == 20


def test_over_ipv6_packets_are_twenty_bytes_smaller() -> None:
    assert sender_at(8, ipv6=True).pack(bytearray(2000), 0, WALL) == 952


def test_row_0_draws_its_sizes() -> None:
    sender = sender_at(0)
    buffer = bytearray(2000)
    sizes = [sender.pack(buffer, sender.deadline, WALL) for _ in range(20)]
    assert sender.done
    assert len(set(sizes)) > 5
    assert all(52 <= size <= 1222 for size in sizes)


def test_payloads_are_zeros_with_any_bytes_in_the_buffer() -> None:
    sender = sender_at(8)
    buffer = bytearray(b"\xff" * 65_535)
    for number, row in enumerate([8, 10, 25, 123, 15, 987, 25, 8]):
        sender.set_rate(rates.sending_rate(row))
        for now in range(number * 20 * MS, (number + 1) * 20 * MS, MS):
            while size := sender.pack(buffer, now, WALL + now):
                for begin in range(0, size, sender.segment_bytes):
                    datagram = buffer[begin : min(begin + sender.segment_bytes, size)]
                    assert datagram[:2] == b"\xbe\xef"
                    assert not any(datagram[pdu.LOAD_HEADER.size :])
