"""Counting rules of a load receiver (RFC 9946 §8.2), and arbitrary headers."""

from hypothesis import given
from hypothesis import strategies as st

from wire.udpstp import pdu
from wire.udpstp.ends.batches import load_runs
from wire.udpstp.ends.receiver import LoadReceiver
from wire.udpstp.pdu import NO_DELAY, Activation, Status

MS = 1_000_000
S = 1_000_000_000
WALL = 1_795_375_959 * S
ACTIVATION = Activation(command=pdu.UPSTREAM, row=8, test_s=1, auth_time=0, key_id=0, sub_interval=250)


def load_pdu(sequence: int, sent: int, *, size: int = 972, echo: int = 0, response_delay: int = 0) -> bytes:
    return pdu.LOAD_HEADER.pack(
        pdu.LOAD_ID, 0, 0, sequence, size, 0, echo // S, echo % S, sent // S, sent % S, response_delay, 0
    )


def take(receiver: LoadReceiver, packet: bytes, now: int, wall: int) -> None:
    for run in load_runs(packet, 0):
        receiver.load(run, now, wall)


def received(*packets: tuple[int, int, int]) -> LoadReceiver:
    """Receiver of packets: (sequence number, send stamp, receive stamp), the stamps in ns after WALL."""
    receiver = LoadReceiver(ACTIVATION)
    for sequence, sent, wall in packets:
        take(receiver, load_pdu(sequence, WALL + sent), 0, WALL + wall)
    return receiver


def status_of(receiver: LoadReceiver, now: int = 50 * MS) -> Status:
    packed = receiver.status(now, WALL + now, action=0, receive_stopped=0, rate=pdu.OFF)
    return pdu.parse_status(packed)


def test_losses_late_and_duplicate_packets() -> None:
    numbers = enumerate((1, 2, 3, 6, 4, 4, 5, 9))
    status = status_of(received(*((number, at * MS, (at + 5) * MS) for at, number in numbers)))
    assert (status.lost, status.reordered, status.duplicated) == (2, 2, 1)
    assert (status.datagrams, status.delay_count, status.payload_bytes) == (8, 4, 8 * 972)


def test_a_loss_already_reported_is_not_taken_back() -> None:
    receiver = received((1, 0, 0), (3, 0, 0))
    assert status_of(receiver).lost == 1
    take(receiver, load_pdu(2, WALL), 60 * MS, WALL + 60 * MS)
    late = status_of(receiver, 100 * MS)
    assert (late.lost, late.reordered) == (0, 1)


def test_a_late_packet_beyond_the_memory_of_32_counts_as_reordered_not_duplicate() -> None:
    status = status_of(received(*((number, 0, 0) for number in (*range(1, 40), 8, 7))))
    assert (status.duplicated, status.reordered) == (1, 1)


def test_the_first_packet_sets_the_minimum_and_gives_no_sample() -> None:
    receiver = received(*((number, 0, delay * MS) for number, delay in enumerate((40, 30, 37, 50), start=1)))
    status = status_of(receiver)
    assert (status.delay_min, status.delay_max, status.delay_sum, status.delay_count) == (0, 20, 27, 3)
    assert (status.clock_delta_min, status.minimum_updated) == (30, 1)
    empty = status_of(receiver, 100 * MS)
    assert (empty.delay_min, empty.delay_count, empty.datagrams, empty.minimum_updated) == (NO_DELAY, 0, 0, 0)
    assert empty.clock_delta_min == 30


def test_the_sum_of_delays_is_more_precise_than_a_millisecond() -> None:
    status = status_of(received((1, 0, 0), *((number, 0, 400_000) for number in range(2, 52))))
    assert (status.delay_sum, status.delay_count, status.delay_max) == (20, 50, 0)


def test_a_negative_clock_difference_is_signed_on_the_wire() -> None:
    assert status_of(received((1, 7 * MS, 0))).clock_delta_min == -7


def test_one_round_trip_for_each_status_echoed() -> None:
    receiver = received((1, 0, 0))
    assert status_of(receiver).rtt_minimum == NO_DELAY
    for sequence, (echo, delay, at) in enumerate(
        [(50, 3, 93), (50, 3, 120), (100, 0, 135), (150, 7, 196)], start=2
    ):
        packet = load_pdu(sequence, WALL, echo=WALL + echo * MS, response_delay=delay)
        take(receiver, packet, at * MS, WALL + at * MS)
    status = status_of(receiver, 200 * MS)
    assert (status.rtt_minimum, status.rtt_variation) == (35, 4)
    assert receiver.rtt_bound == 35 * MS


def test_a_response_delay_rounded_up_makes_no_negative_round_trip() -> None:
    receiver = LoadReceiver(ACTIVATION)
    packet = load_pdu(1, WALL, echo=WALL, response_delay=1)
    take(receiver, packet, 0, WALL + 600_000)
    assert receiver.rtt_minimum == 0


def test_sub_intervals_begin_with_the_first_status_and_are_sent_in_later_ones() -> None:
    receiver = LoadReceiver(ACTIVATION)
    seen = []
    for tick in range(1, 13):
        for packet in range(50):
            at = (tick - 1) * 50 + packet
            take(receiver, load_pdu(at + 1, WALL + at * MS), at * MS, WALL + at * MS)
        seen.append(status_of(receiver, tick * 50 * MS))
    assert [status.sub_interval_number for status in seen] == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2]
    first = seen[6].sub_interval
    assert (first.datagrams, first.payload_bytes, first.duration_us) == (250, 250 * 972, 250_000)
    assert (first.lost, first.elapsed, seen[11].sub_interval.elapsed) == (0, 250, 500)


headers = st.binary(min_size=26, max_size=26).map(lambda body: b"\xbe\xef\x00\x00" + body + b"\0\0")


@given(
    packets=st.lists(headers, max_size=60), stamps=st.lists(st.integers(0, 2**62), min_size=60, max_size=60)
)
def test_any_headers_give_a_status_that_can_be_packed(packets: list[bytes], stamps: list[int]) -> None:
    receiver = LoadReceiver(ACTIVATION)
    for at, packet in enumerate(packets):
        take(receiver, packet, at * MS, stamps[at])
        if at % 7 == 6:
            assert status_of(receiver, at * 50 * MS).datagrams == 7
