"""Batches of datagrams: counted together or one by one, they give the same report."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.udpstp.simulation import MS, OVERHEAD, WALL, S, plan_for
from wire.records import Direction
from wire.udpstp import client, client_phase, pdu, rates
from wire.udpstp.ends import batches
from wire.udpstp.ends.sender import LoadSender
from wire.udpstp.pdu import Activation

ROW = 300
FULL = 1222


def load_pdu(
    number: int, sent: int, size: int = FULL, *, echo: int = 0, delay: int = 0, action: int = 0
) -> bytes:
    header = pdu.LOAD_HEADER.pack(
        pdu.LOAD_ID, action, 0, number, size, 0, echo // S, echo % S, sent // S, sent % S, delay, 0
    )
    return header + bytes(size - len(header))


def with_checksum(packet: bytes) -> bytes:
    return packet[:30] + pdu.checksum(packet[:32]).to_bytes(2) + packet[32:]


def down_phase() -> client_phase.LoadPhase:
    accepted = Activation(
        command=pdu.DOWNSTREAM, row=ROW, test_s=1, auth_time=0, key_id=7, response=1, sub_interval=250
    )
    return client.begin_load(plan_for(Direction.DOWN, row=ROW), accepted, 0, WALL, OVERHEAD)


@st.composite
def arrivals(draw: st.DrawFn) -> list[bytes]:
    """Load over a bad line: bursts with one stamp, losses, duplicates, late packets, junk."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    packets: list[bytes] = []
    sent, number, echo = WALL + 5 * MS, 1, 0
    for _ in range(draw(st.integers(1, 25))):
        sent += chance.choice([0, 100_000, 500_000, 60 * MS])
        echo = chance.choice([echo, echo, sent - 20 * MS])
        size, delay = chance.choice([FULL, FULL, FULL, 597]), chance.choice([0, 3])
        for _ in range(chance.randint(1, 60)):
            packets.append(load_pdu(number, sent, size, echo=echo, delay=delay))
            number += 1
    if draw(st.booleans()):
        packets.append(load_pdu(number, sent, action=pdu.STOP))
    return disturbed(packets, chance, draw(st.sampled_from([0.0, 0.01, 0.3])))


def disturbed(packets: list[bytes], chance: random.Random, share: float) -> list[bytes]:
    out: list[bytes] = []
    for packet in packets:
        kind = chance.choice("ldrcj") if chance.random() < share else ""
        copies = {"l": 0, "d": 2}.get(kind, 1)
        at = max(len(out) - chance.randint(1, 70), 0) if kind == "r" else len(out)
        damaged = {"c": with_checksum(packet), "j": b"\xbe\xee" + packet[2:]}.get(kind, packet)
        out[at:at] = [damaged] * copies
    return out


def joined(packets: list[bytes], chance: random.Random) -> list[tuple[bytes, int]]:
    """Join packets into batches as a kernel may do: of one size, with a shorter one at the end."""
    out: list[tuple[bytes, int]] = []
    while packets:
        size, count = len(packets[0]), 1
        most = min(chance.randint(1, 70), batches.MOST_BYTES // size)
        while count < min(most, len(packets)) and len(packets[count - 1]) == size >= len(packets[count]):
            count += 1
        out.append((b"".join(packets[:count]), size if count > 1 else chance.choice([0, size])))
        packets = packets[count:]
    return out


def outcome(phase: client_phase.LoadPhase, received: list[tuple[bytes, int, int, int]]) -> tuple[object, ...]:
    """Everything that the phase sends and reports for ``received``, with a transmit every 7 ms."""
    buffer, statuses, asked = bytearray(2000), [], 0
    for data, segment_bytes, now, wall in received:
        while asked < now:
            size = phase.transmit(buffer, asked, WALL + asked)
            statuses.append(bytes(buffer[:size]))
            asked += 7 * MS
        phase.receive(data, now, wall, segment_bytes)
    statuses += [
        bytes(buffer[: phase.transmit(buffer, now, WALL + now)])
        for now in range(asked, asked + 300 * MS, 7 * MS)
    ]
    return statuses, phase.fields(), phase.ending, phase.finished


@given(packets=arrivals(), seed=st.integers(0, 2**32))
def test_a_batch_gives_the_report_of_its_single_datagrams(packets: list[bytes], seed: int) -> None:
    chance = random.Random(seed)
    together, singly, now = [], [], 0
    for data, segment_bytes in joined(packets, chance):
        now += chance.choice([0, 400_000, 3 * MS])
        wall = WALL + now + chance.randint(0, 2 * MS)
        together.append((data, segment_bytes, now, wall))
        singly += [(piece, 0, now, wall) for piece in batches.pieces(data, segment_bytes)]
    assert outcome(down_phase(), together) == outcome(down_phase(), singly)


def test_the_strategy_produces_every_disturbance() -> None:
    """The report of one disturbed load has losses, duplicates and late packets."""
    chance = random.Random(1)
    packets = [load_pdu(number, WALL + number // 30 * 100_000) for number in range(1, 3000)]
    phase = down_phase()
    for at, (data, segment_bytes) in enumerate(joined(disturbed(packets, chance, 0.05), chance)):
        phase.receive(data, at * MS, WALL + at * MS, segment_bytes)
    fields = phase.fields()
    assert 0 not in (fields["duplicated"], fields["reordered"], fields["lost"])


def test_equal_packets_are_one_run_unless_they_have_checksums() -> None:
    packets = [load_pdu(number, WALL) for number in range(7, 57)]
    (run,) = batches.load_runs(b"".join(packets), FULL)
    assert (run.first, run.last, run.count, run.payload, run.sent) == (7, 56, 50, FULL, WALL)
    summed = b"".join(map(with_checksum, packets))
    assert [one.first for one in batches.load_runs(summed, FULL)] == list(range(7, 57))


def test_a_gap_another_stamp_and_junk_divide_runs() -> None:
    packets = [load_pdu(1, WALL), load_pdu(2, WALL), load_pdu(4, WALL), load_pdu(5, WALL + 1)]
    packets += [b"\0" * FULL, load_pdu(6, WALL + 1), load_pdu(7, WALL + 1, 597)]
    runs = list(batches.load_runs(b"".join(packets), FULL))
    assert [(run.first, run.count, run.payload) for run in runs] == [
        (1, 2, FULL), (4, 1, FULL), (5, 1, FULL), (6, 1, FULL), (7, 1, 597),
    ]  # fmt: skip


@pytest.mark.parametrize(("size", "segment_bytes", "count"), [
    (1222, 0, 1), (1222, 1222, 1), (1222, 2000, 1), (2444, 1222, 2), (2445, 1222, 3), (0, 0, 1), (0, 100, 1),
])  # fmt: skip
def test_number_of_datagrams_in_a_batch(size: int, segment_bytes: int, count: int) -> None:
    assert batches.datagrams(size, segment_bytes) == count
    assert len(list(batches.pieces(bytes(size), segment_bytes))) == count


@pytest.mark.parametrize("row", [8, 15, 50, 123, 300, 999, 1000])
def test_a_packed_batch_fits_one_call_and_is_read_as_sent(row: int) -> None:
    sender = LoadSender(rates.sending_rate(row), ipv6=False, start=0, end=S // 10, wall=WALL)
    buffer, calls = bytearray(65_535), 0
    runs: list[batches.LoadRun] = []
    while not sender.done:
        now = sender.deadline + 150_000
        size = sender.pack(buffer, now, WALL + now)
        calls += size > 0
        count = batches.datagrams(size, sender.segment_bytes)
        assert count <= batches.MOST_SEGMENTS
        assert size <= batches.MOST_BYTES
        runs += batches.load_runs(buffer[:size], sender.segment_bytes)
        assert sum(run.count for run in runs) == sender.sent_packets
    assert all(before.last + 1 == after.first for before, after in pairwise(runs))
    assert runs[-1].last == sender.sent_packets == round(rates.packets_per_second(sender.rate) / 10)
    assert sum(run.count * run.payload for run in runs) == sender.sent_payload_bytes
    if row == 8:
        assert calls == sender.sent_packets
    if row == 1000:
        assert calls <= sender.sent_packets / 40
