"""The peer's time, from exchanges as a train leaves them, on clocks that are set and drift."""

import pytest
from msgspec.structs import replace

from agent.train.peer_time import PeerTime
from tests.agent.fakes import FakeClock
from wire.records import ClockReading
from wire.stamp.packet import Reply, decode_request, encode_reply
from wire.stamp.sender import Exchange, ReplyArrival, ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate, to_ntp

MS = 1_000_000
YEARS_S = 50 * 31_557_600
SYNCHRONISED = ErrorEstimate.from_seconds(0.002, synchronised=True)
KEY = b"the site's key"


def clock(wall_s: float, boot_s: float = 100.0, *, synchronised: bool = False) -> ClockReading:
    return FakeClock(round(boot_s * 1e6), round(wall_s * 1e6), synchronised).read()


def exchange(
    ahead_s: float, *, forward_ms: int = 10, back_ms: int = 10, said: ErrorEstimate = SYNCHRONISED
) -> Exchange:
    """A packet sent 100 s after 1970, to a peer that is ``ahead_s`` of that."""
    sent = 100_000 * MS
    there = sent + forward_ms * MS + round(ahead_s * 1e9)
    arrival = ReplyArrival(0, 0, there, there + MS, sent + (forward_ms + 1 + back_ms) * MS, True, said, 255,
                           None, None)  # fmt: skip
    return Exchange(0, sent, sent, ErrorEstimate(), arrival=arrival)


def learnt(*exchanges: Exchange) -> PeerTime:
    found = PeerTime()
    found.learn(exchanges, clock(99, boot_s=99), clock(100))
    return found


def test_it_is_exact_where_both_ways_are_alike() -> None:
    assert learnt(exchange(YEARS_S)).ahead_s(clock(100)) == pytest.approx(YEARS_S, abs=2e-6)


def test_the_error_bounds_the_offset() -> None:
    found = learnt(exchange(YEARS_S, forward_ms=1900, back_ms=1))
    assert found.offset is not None
    off_s = abs(found.ahead_s(clock(100)) - YEARS_S)
    assert 0.9 < off_s <= found.offset.error_us / 1e6 < 1.0


def test_the_quickest_reply_counts() -> None:
    found = learnt(exchange(7, forward_ms=900), exchange(7), exchange(7, back_ms=500))
    assert found.ahead_s(clock(100)) == pytest.approx(7, abs=1e-5)
    assert found.offset is not None
    assert found.offset.error_us < 13_000


def test_it_stays_right_when_the_wall_clock_is_set() -> None:
    found = learnt(exchange(YEARS_S))
    assert found.ahead_s(clock(200 + YEARS_S, boot_s=200)) == pytest.approx(0, abs=1e-5)
    assert found.ahead_s(clock(200 - 5, boot_s=200)) == pytest.approx(YEARS_S + 5, abs=1e-5)


def test_a_train_with_a_clock_step_gives_no_offset() -> None:
    stepped = PeerTime()
    stepped.learn([exchange(7)], clock(98, boot_s=99), clock(100, boot_s=100))
    assert stepped.offset is None


@pytest.mark.parametrize("useless", [
    exchange(7, forward_ms=5000),
    exchange(7, said=replace(SYNCHRONISED, ptp=True)),
    exchange(7, forward_ms=-500),
    replace(exchange(7), arrival=None),
])  # fmt: skip
def test_useless_replies_give_no_offset(useless: Exchange) -> None:
    assert learnt(useless).offset is None
    assert learnt(useless).ahead_s(clock(100)) == 0.0


def test_an_unsynchronised_peers_time_is_used_and_marked_so() -> None:
    found = learnt(exchange(-7, said=ErrorEstimate()))
    assert found.ahead_s(clock(100)) == pytest.approx(-7, abs=1e-5)
    assert found.offset is not None
    assert not found.offset.synchronised


def test_of_an_hour_ago_it_helps_only_a_clock_that_is_not_synchronised() -> None:
    found = learnt(exchange(7))
    later = clock(4000, boot_s=4000)
    assert found.ahead_s(later) == pytest.approx(7, abs=1e-5)
    assert found.ahead_s(replace(later, synchronised=True)) == 0.0


def test_a_recorded_reply_answers_no_packet_of_a_later_train() -> None:
    """Number and SSID may come again; the sending time to the nanosecond does not."""
    first = SessionSender(SenderSettings(ssid=7, key=KEY))
    packet = decode_request(first.packet(100_000 * MS, ErrorEstimate()), KEY)
    assert not isinstance(packet, str)
    recorded = encode_reply(
        Reply(0, to_ntp(1), SYNCHRONISED, 7, to_ntp(1), 0, packet.timestamp, ErrorEstimate(), 255, b""), KEY
    )
    assert first.received(recorded, 100_010 * MS, by_kernel=True) is ReplyVerdict.ACCEPTED
    again = SessionSender(SenderSettings(ssid=7, key=KEY))
    again.packet(100_000 * MS + 1, ErrorEstimate())
    assert again.received(recorded, 100_010 * MS, by_kernel=True) is ReplyVerdict.NOT_OURS
