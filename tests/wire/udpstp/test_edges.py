"""Tests that begin or end badly, and peers that send nonsense."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import fields, replace

from tests.wire.udpstp.simulation import KEYS, MS, OVERHEAD, SERVER, WALL, S, World, plan_for, setup, signed
from wire.records import Direction
from wire.udpstp import client, pdu, rates
from wire.udpstp.client import Client
from wire.udpstp.ends.sender import LoadSender
from wire.udpstp.load import Ending
from wire.udpstp.pdu import Activation, Status, SubInterval


def load_number(packet: bytes) -> int:
    return int.from_bytes(packet[4:8]) if packet[:2] == b"\xbe\xef" else 0


def test_the_first_packets_lost_are_no_stall_of_the_sender() -> None:
    world = World()
    world.down.drops = lambda packet, _now: len(packet) == 972 and load_number(packet) <= 100
    report = world.run(plan_for(Direction.DOWN))
    lost = 100 - world.test._end.lead_in.packets
    assert (report.ending, report.sent_packets) == (Ending.COMPLETED, 1000)
    assert (report.stall_us, report.lost, report.received_packets) == (0, lost, 1000 - lost)
    assert report.sent_bps == pytest.approx(8e6, rel=0.002)


def test_a_load_begins_behind_its_lead_in() -> None:
    """Counters of the line that are read beside the load begin and end with the load itself."""
    phase = client.begin_load(plan_for(Direction.DOWN), _accepted(pdu.DOWNSTREAM), 0, WALL, OVERHEAD)
    begun = []
    for sequence, size in enumerate((500, 33, 1056, 972, 972), start=1):
        header = pdu.LOAD_HEADER.pack(pdu.LOAD_ID, 0, 0, sequence, size, 0, 0, 0, WALL // S, 0, 0, 0)
        phase.receive(header + bytes(size - 32), sequence * MS, WALL)
        begun.append(phase.begun)
    assert begun == [False, False, False, True, True]
    assert phase.so_far().packets == 2


@pytest.mark.parametrize(("size", "ending"), [(500, Ending.BAD_RESPONSE), (972, Ending.COMPLETED)])
def test_a_peer_that_never_stops_sending_is_stopped(size: int, ending: Ending) -> None:
    """Its packets are of another test, or its clock does not advance: no packet shows the end of the test."""
    phase = client.begin_load(plan_for(Direction.DOWN), _accepted(pdu.DOWNSTREAM), 0, WALL, OVERHEAD)
    buffer, now, sequence = bytearray(2000), 0, 0
    while not phase.finished:
        now, sequence = now + MS, sequence + 1
        assert now < 10 * S, "the test does not end"
        header = pdu.LOAD_HEADER.pack(pdu.LOAD_ID, 0, 0, sequence, size, 0, 0, 0, WALL // S, 0, 0, 0)
        phase.receive(header + bytes(size - 32), now, WALL + now)
        phase.transmit(buffer, now, WALL + now)
    assert phase.ending is ending
    assert now < 6 * S


def _accepted(command: int) -> Activation:
    rate = rates.sending_rate(8) if command == pdu.UPSTREAM else pdu.OFF
    return Activation(
        command=command, row=8, test_s=1, auth_time=0, key_id=7, response=1, sub_interval=250, rate=rate
    )


@pytest.mark.parametrize(("row", "lower"), [(100, 99), (130, 99), (5, 100)])
def test_a_transmitter_is_not_late_when_it_is_switched_on(row: int, lower: int) -> None:
    sender = LoadSender(rates.sending_rate(row), ipv6=False, start=0, end=10 * S, wall=WALL)
    buffer, now = bytearray(2000), 0
    for rate, until in ((row, S), (lower, 2 * S), (row, 3 * S)):
        sender.set_rate(rates.sending_rate(rate))
        while (now := max(now, sender.deadline)) < until:
            sender.pack(buffer, now, WALL)
    assert sender.stall_ns == 0
    assert sender.longest_gap_ns <= 2 * MS


BITS_32 = st.integers(0, 0xFFFFFFFF)
SMALL = st.integers(0, 60)
sub_intervals = st.builds(SubInterval, **{field.name: SMALL for field in fields(SubInterval)})
statuses = st.builds(
    Status, sequence=SMALL, sub_interval_number=SMALL, sub_interval=sub_intervals, datagrams=SMALL,
    payload_bytes=BITS_32, lost=SMALL, reordered=SMALL, duplicated=SMALL, interval_us=BITS_32, sent_s=BITS_32,
    sent_ns=BITS_32, delay_count=SMALL, delay_min=BITS_32, delay_sum=BITS_32, rtt_minimum=BITS_32,
    action=st.sampled_from([0, 0, 0, 2]),
)  # fmt: skip


@example([Status(sequence=2, datagrams=50, duplicated=50, interval_us=50_000)])
@example([
    Status(sequence=number, sub_interval_number=1, sub_interval=SubInterval(), datagrams=50 * (number < 4),
           payload_bytes=48_600, interval_us=50_000, sent_s=number)
    for number in (2, 3, 4, 9)
])  # fmt: skip
@given(st.lists(statuses, max_size=12))
def test_any_status_pdus_of_a_peer_give_a_report(statuses: list[Status]) -> None:
    client = _loading(Direction.UP)
    for number, status in enumerate(statuses, start=1):
        client.receive(status.pack(), SERVER, number * 50 * MS, WALL)
    report = client.report()
    assert report.received_packets >= 0
    assert report.lost <= report.sent_packets
    assert report.received_bps >= 0


headers = st.binary(min_size=28, max_size=28).map(lambda body: b"\xbe\xef\x00\x00" + body)


@given(st.lists(st.tuples(headers, st.sampled_from([500, 972])), max_size=40))
def test_any_load_of_a_peer_gives_a_report(sent: list[tuple[bytes, int]]) -> None:
    client = _loading(Direction.DOWN)
    for number, (header, size) in enumerate(sent, start=1):
        packet = header[:8] + size.to_bytes(2) + header[10:30] + bytes(2 + size - 32)
        client.receive(packet, SERVER, number * MS, WALL + number * MS)
    report = client.report()
    assert report.received_packets <= len(sent)
    assert 0 <= report.lost <= report.sent_packets


def _loading(direction: Direction) -> Client:
    """A client whose peer has accepted everything."""
    client, buffer = Client(plan_for(direction), 0, WALL), bytearray(2000)
    client.transmit(buffer, 0, WALL)
    response = setup(ident=0x1234, command=2, response=1, test_port=SERVER[1], bandwidth_mbps=0)
    client.receive(signed(response, KEYS.server), SERVER, 0, WALL)
    client.transmit(buffer, 0, WALL)
    accepted = _accepted(pdu.UPSTREAM if direction is Direction.UP else pdu.DOWNSTREAM)
    client.receive(signed(replace(accepted, auth_time=WALL // S), KEYS.server), SERVER, 0, WALL)
    assert not client.finished
    return client
