"""Sender and reflector over a fake link, whose truth about every packet is known."""

import random
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from wire.records import Spread
from wire.stamp import tlv
from wire.stamp.packet import Reply, decode_reply, encode_reply
from wire.stamp.reflector import ReflectorSettings, RequestArrival, SessionReflector
from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.statistics import TrainStatistics, train_statistics
from wire.stamp.timestamp import ErrorEstimate, to_ntp

KEY = b"key"
NOW = 1_775_000_000_000_000_000
MILLISECOND, SECOND = 10**6, 10**9
FREE = ErrorEstimate()
SYNCHRONISED = ErrorEstimate(synchronised=True)
INTERVAL = 10 * MILLISECOND
DWELL = 3 * MILLISECOND
LATE = 400_000
"""Delay from T3 in a reply to its true send time."""


@dataclass
class Link:
    """One direction. ``delays`` by packet number, 1 ms otherwise; ``copies`` arrive 100 us later."""

    lost: set[int] = field(default_factory=set)
    copies: set[int] = field(default_factory=set)
    delays: dict[int, int] = field(default_factory=dict)
    dscp: int | None = None

    def carry(self, packets: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Turn (send time, bytes) into (arrival time, bytes), in order of arrival."""
        arrived = []
        for number, (sent, data) in enumerate(packets):
            if number in self.lost:
                continue
            arrival = sent + self.delays.get(number, MILLISECOND)
            arrived.append((arrival, data))
            if number in self.copies:
                arrived.append((arrival + 100_000, data))
        return sorted(arrived)


@dataclass
class Ends:
    """One train over the link and back; the reflector's clock is ``offset`` ahead.

    ``stamps``: its kernel stamps the replies it sends, of which ``unstamped`` are left out by number.
    """

    settings: SenderSettings = field(default_factory=lambda: SenderSettings(ssid=7, key=KEY))
    offset: int = 0
    clocks: tuple[ErrorEstimate, ErrorEstimate] = (FREE, FREE)
    dscp: int = 0
    stamps: bool = False
    unstamped: set[int] = field(default_factory=set)

    def run(self, there: Link, back: Link, count: int = 10, timeout: int = SECOND) -> TrainStatistics:
        self.sender = SessionSender(self.settings)
        self.reflector = SessionReflector(ReflectorSettings(keys=(KEY,), open_mode=True))
        requests = []
        for number in range(count):
            now = NOW + number * INTERVAL
            requests.append((now, self.sender.packet(now, self.clocks[0])))
            self.sender.transmitted(number, now)
        self.exchange(there, back, requests)
        closing = self.sender.closing(NOW + count * INTERVAL, self.clocks[0])
        if closing is not None:
            self.exchange(Link(), Link(), [(NOW + count * INTERVAL, closing)])
        return train_statistics(self.sender.exchanges, self.sender.duplicates, timeout, stateful=True)

    def exchange(self, there: Link, back: Link, requests: list[tuple[int, bytes]]) -> None:
        replies = self.reflect(there, there.carry(requests))
        for arrived, data in back.carry(replies):
            self.sender.received(data, arrived, by_kernel=True, dscp_ecn=46 << 2)

    def reflect(self, there: Link, requests: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        replies = []
        for now, data in requests:
            dscp = self.dscp if there.dscp is None else there.dscp
            arrival = RequestArrival(
                now + self.offset, ("192.0.2.7", 5000), ("192.0.2.1", 862), dscp << 2, 64
            )
            reflection = self.reflector.receive(data, arrival, self.clocks[1])
            replies.append((now + DWELL, reflection.encode(now + self.offset + DWELL)))
            if self.stamps:
                replies[-1] = (now + DWELL + LATE, replies[-1][1])
                if reflection.sequence not in self.unstamped:
                    self.reflector.transmitted(reflection, now + self.offset + DWELL + LATE)
        return replies


@pytest.fixture(params=[KEY, None], ids=["authenticated", "open"])
def ends(request: pytest.FixtureRequest) -> Ends:
    return Ends(SenderSettings(ssid=7, key=request.param))


def flat(value_us: int) -> Spread:
    return Spread(min_us=value_us, p50_us=value_us, p95_us=value_us, p99_us=value_us)


def test_a_clean_line(ends):
    result = ends.run(Link(), Link(), count=10)
    assert (result.sent, result.received, result.loss_ratio) == (10, 10, 0.0)
    assert result.rtt == flat(2000)
    assert result.variation_forward == result.variation_return == flat(0)
    assert (result.delay_forward, result.delay_return) == (None, None)
    assert (result.duplicated_forward, result.duplicated_return) == (0, 0)
    assert (result.reordered_forward, result.reordered_return) == (0, 0)
    assert result.kernel_stamps
    assert ends.sender.counters == {ReplyVerdict.ACCEPTED: 10}


def test_clock_offsets_leave_round_trip_and_variation_alone(ends):
    ends.offset = -3 * 3600 * SECOND
    result = ends.run(Link(delays={4: 6 * MILLISECOND}), Link(delays={8: 3 * MILLISECOND}))
    assert result.rtt == Spread(min_us=2000, p50_us=2000, p95_us=7000, p99_us=7000)
    assert result.variation_forward == Spread(min_us=0, p50_us=0, p95_us=5000, p99_us=5000)
    assert result.variation_return == Spread(min_us=0, p50_us=0, p95_us=2000, p99_us=2000)


def test_one_way_delays_need_both_clocks(ends):
    for clocks in ((FREE, SYNCHRONISED), (SYNCHRONISED, FREE), (SYNCHRONISED, ErrorEstimate(True, ptp=True))):
        ends.clocks = clocks
        assert ends.run(Link(), Link()).delay_forward is None
    ends.clocks = (SYNCHRONISED, SYNCHRONISED)
    result = ends.run(Link(), Link(delays=dict.fromkeys(range(10), 4 * MILLISECOND)))
    assert (result.delay_forward, result.delay_return) == (flat(1000), flat(4000))


def test_loss_is_counted_by_direction(ends):
    result = ends.run(Link(lost={1, 2}), Link(lost={4}), count=10)
    assert (result.received, result.loss_ratio) == (7, 0.3)
    assert (result.loss.forward, result.loss.returning) == (2, 1)
    assert result.loss.forward_ratio == 0.2
    assert result.loss.return_ratio == 0.125


def test_silence_has_no_values(ends):
    result = ends.run(Link(lost=set(range(5))), Link(), count=5)
    assert (result.received, result.loss_ratio, result.loss, result.rtt) == (0, 1.0, None, None)
    assert not result.kernel_stamps


def test_reordering_is_counted_by_direction(ends):
    result = ends.run(Link(delays={3: 15 * MILLISECOND}), Link())
    assert (result.reordered_forward, result.reordered_return) == (1, 0)
    assert (result.loss.forward, result.loss.returning) == (0, 0)
    result = ends.run(Link(), Link(delays={3: 25 * MILLISECOND}))
    assert (result.reordered_forward, result.reordered_return) == (0, 1)


def test_duplicates_are_counted_once_and_by_direction(ends):
    result = ends.run(Link(copies={2}), Link(copies={5, 6}), count=10)
    assert (result.sent, result.received) == (10, 10)
    assert (result.duplicated_forward, result.duplicated_return) == (1, 2)
    assert ends.sender.counters[ReplyVerdict.DUPLICATE] == 3


def test_a_late_reply_is_lost_and_counted_separately(ends):
    result = ends.run(Link(), Link(delays={4: 3 * SECOND}), timeout=2 * SECOND)
    assert (result.received, result.late, result.timeout_us) == (9, 1, 2_000_000)
    assert result.loss_ratio == 0.1
    assert result.loss is None
    assert result.rtt == flat(2000)


def test_class_of_service_shows_remarking_both_ways():
    ends = Ends(SenderSettings(ssid=7, key=KEY, wanted_dscp=46), dscp=46)
    result = ends.run(Link(dscp=10), Link())
    assert (result.forward_dscp, result.reply_dscp, result.refused_dscp) == (10, 46, False)


def test_a_missing_transmit_stamp_shows(ends):
    ends.run(Link(), Link())
    ends.sender.exchanges[3].sent_by_kernel = False
    result = train_statistics(ends.sender.exchanges, ends.sender.duplicates, SECOND, stateful=True)
    assert not result.kernel_stamps


def test_a_stateless_reflector_gives_no_directions(ends):
    ends.run(Link(lost={2}), Link())
    result = train_statistics(ends.sender.exchanges, [], SECOND, stateful=False)
    assert (result.loss, result.loss_ratio) == (None, 0.1)


def test_replies_of_other_trains_are_counted_and_ignored(ends):
    ends.reflector = SessionReflector(ReflectorSettings(keys=(KEY,), open_mode=True))
    first = SessionSender(ends.settings)
    request = first.packet(NOW, FREE)
    ((_, reply),) = ends.reflect(Link(), [(NOW, request)])
    decoded = decode_reply(reply, ends.settings.key)
    assert isinstance(decoded, Reply)
    other_train = SessionSender(ends.settings)
    other_train.packet(NOW + 1, FREE)
    assert other_train.received(reply, NOW, by_kernel=True) is ReplyVerdict.NOT_OURS
    assert SessionSender(ends.settings).received(reply, NOW, by_kernel=True) is ReplyVerdict.NOT_OURS
    other_ssid = SessionSender(SenderSettings(ssid=8, key=ends.settings.key))
    other_ssid.packet(NOW, FREE)
    assert other_ssid.received(reply, NOW, by_kernel=True) is ReplyVerdict.NOT_OURS
    assert first.received(reply[:30], NOW, by_kernel=True) is ReplyVerdict.SHORT
    assert first.received(reply, NOW, by_kernel=True) is ReplyVerdict.ACCEPTED


def test_a_reply_with_another_key_is_distinguished():
    sender = SessionSender(SenderSettings(ssid=7, key=b"another"))
    sender.packet(NOW, FREE)
    reply = encode_reply(Reply(0, 0, FREE, 7, 0, 0, 0, FREE, 64), KEY)
    assert sender.received(reply, NOW, by_kernel=True) is ReplyVerdict.BAD_HMAC


def test_a_twamp_light_reflector_is_understood():
    sender = SessionSender(SenderSettings(ssid=7, twamp_light=True))
    request = sender.packet(NOW, FREE)
    copied = Reply(0, 0, FREE, 0, 0, 0, int.from_bytes(request[4:12]), FREE, None)
    assert sender.received(encode_reply(copied)[:38], NOW + 5, by_kernel=True) is ReplyVerdict.ACCEPTED
    arrival = sender.exchanges[0].arrival
    assert arrival.sender_ttl is None


@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("wanted_dscp", [46, None])
@pytest.mark.parametrize("size", [0, 100, 172, 500])
def test_packets_are_padded_up_to_the_size(key, wanted_dscp, size):
    sender = SessionSender(SenderSettings(ssid=1, key=key, wanted_dscp=wanted_dscp, payload_bytes=size))
    bare = (44 if key is None else 112) + (0 if wanted_dscp is None else 8 if key is None else 28)
    assert len(sender.packet(NOW, FREE)) == max(bare, size)


def test_the_number_of_an_unsent_packet_is_used_again():
    sender = SessionSender(SenderSettings(ssid=1))
    sender.packet(NOW, FREE)
    sender.forget_last()
    assert sender.packet(NOW, FREE)[:4] == bytes(4)
    sender.transmitted(1, NOW)
    assert len(sender.exchanges) == 1


@pytest.mark.parametrize("ssid", [0, 65_536])
def test_an_ssid_out_of_range_is_refused(ssid):
    with pytest.raises(ValueError) as refused:
        SenderSettings(ssid=ssid)
    assert str(refused.value) == f"a STAMP SSID is 1 to 65535, not {ssid}"


@pytest.mark.parametrize("seed", range(20))
def test_a_bad_line_never_gives_a_wrong_direction(seed):
    chance = random.Random(seed)
    link = [
        Link(
            lost={n for n in range(100) if chance.random() < 0.1},
            delays={n: chance.randrange(MILLISECOND, 9 * MILLISECOND) for n in range(100)},
        )
        for _ in range(2)
    ]
    result = Ends().run(*link, count=50)
    lost_there = sum(n in link[0].lost for n in range(50))
    lost_back = sum(n in link[1].lost for n in range(50 - lost_there))
    assert result.sent - result.received == lost_there + lost_back
    assert result.loss is None or (result.loss.forward, result.loss.returning) == (lost_there, lost_back)


@pytest.fixture
def followed(ends: Ends) -> Ends:
    """Train with Follow-Up Telemetry, over a reflector that sends its replies after T3."""
    ends.settings = replace(ends.settings, follow_up=True)
    ends.stamps = True
    return ends


def test_the_reflectors_delay_is_not_part_of_the_round_trip(followed):
    result = followed.run(Link(), Link())
    assert result.rtt == flat(2000)
    assert result.followed_up == 10
    assert (result.sent, result.received, result.loss_ratio) == (10, 10, 0.0)
    assert followed.sender.counters == {ReplyVerdict.ACCEPTED: 10, ReplyVerdict.CLOSING: 1}
    assert len(followed.sender.exchanges) == 10


def test_without_a_request_the_delay_is_part_of_the_round_trip(ends):
    ends.stamps = True
    result = ends.run(Link(), Link())
    assert result.rtt == flat(2400)
    assert result.followed_up == 0
    assert ends.sender.counters == {ReplyVerdict.ACCEPTED: 10}


def test_clock_offsets_do_not_change_the_correction(followed):
    followed.offset = 3 * 3600 * SECOND
    assert followed.run(Link(), Link()).rtt == flat(2000)


def test_return_delays_are_corrected_too(followed):
    followed.clocks = (SYNCHRONISED, SYNCHRONISED)
    followed.unstamped = {4}
    result = followed.run(Link(), Link())
    assert (result.delay_forward, result.followed_up) == (flat(1000), 9)
    assert result.delay_return == Spread(min_us=1000, p50_us=1000, p95_us=1400, p99_us=1400)


def test_a_reply_before_a_lost_one_keeps_its_t3(followed):
    result = followed.run(Link(lost={2}), Link(lost={5}))
    # Request 2 was never counted: the reply to 3 reports that to 1. Reply 5 of the link reported reply 4.
    assert (result.received, result.followed_up) == (8, 7)
    assert result.rtt == Spread(min_us=2000, p50_us=2000, p95_us=2400, p99_us=2400)


def test_replies_out_of_order_are_corrected_too(followed):
    result = followed.run(Link(), Link(delays={3: 25 * MILLISECOND}))
    assert (result.reordered_return, result.followed_up) == (1, 10)


def test_duplicates_do_not_mix_up_send_times(followed):
    result = followed.run(Link(copies={2}), Link(copies={6}))
    # T3 of the answer to the copy of 2 is before the first answer was sent: its report is impossible.
    assert result.followed_up == 9
    assert result.rtt == Spread(min_us=2000, p50_us=2000, p95_us=2400, p99_us=2400)
    assert (result.duplicated_forward, result.duplicated_return) == (1, 1)


def test_no_closing_packet_is_sent_where_it_is_of_no_use(followed):
    assert SessionSender(followed.settings).closing(NOW, FREE) is None
    followed.unstamped = set(range(10))
    result = followed.run(Link(), Link())
    assert (result.followed_up, result.rtt) == (0, flat(2400))
    followed.unstamped = set()
    followed.run(Link(), Link(lost={9}))
    assert followed.sender.counters == {ReplyVerdict.ACCEPTED: 9}


def test_a_reflector_without_the_tlv_changes_nothing(followed):
    followed.sender = SessionSender(followed.settings)
    extra = followed.sender.packet(NOW, FREE)[-20 if followed.settings.key is None else -40 :]
    copied = Reply(0, to_ntp(NOW + 2), FREE, 7, to_ntp(NOW + 1), 0, to_ntp(NOW), FREE, 64, extra)
    data = encode_reply(copied, followed.settings.key)
    assert followed.sender.received(data, NOW + 3, by_kernel=True) is ReplyVerdict.ACCEPTED
    assert followed.sender.closing(NOW + INTERVAL, FREE) is None
    arrival = followed.sender.exchanges[0].arrival
    assert (arrival.reflector_sent_ns, arrival.followed_up) == (NOW + 2, False)


@pytest.mark.parametrize(
    ("sequence", "reported_ns", "used"),
    [
        (0, NOW + 3 * MILLISECOND, True),
        (0, NOW + 2 * MILLISECOND - 1000, False),
        (0, NOW + 2 * MILLISECOND, True),
        (0, NOW + 4 * MILLISECOND, True),
        (0, NOW + 4 * MILLISECOND + 1000, False),
        (0, NOW + INTERVAL + 3 * MILLISECOND, False),
        (1, NOW + 3 * MILLISECOND, False),
        (7, NOW + 3 * MILLISECOND, False),
        (0, 0, False),
    ],
    ids=[
        "late",
        "before its own stamp",
        "at its own stamp",
        "at its arrival",
        "after its arrival",
        "after the reply that reports it",
        "of the reply that reports it",
        "of a reply not of ours",
        "nothing",
    ],
)
def test_a_reported_send_time_is_used_only_where_it_is_possible(sequence, reported_ns, used):
    """Replies 0 and 1: T3 is 1 ms after T2, and T2 is 1 ms after T1."""
    sender = SessionSender(SenderSettings(ssid=7, follow_up=True))
    report = tlv.FollowUp(sequence, to_ntp(reported_ns) if reported_ns else 0, tlv.SOFTWARE_LOCAL)
    for number, value in ((0, tlv.FollowUp()), (1, report)):
        sent = NOW + number * INTERVAL
        sender.packet(sent, FREE)
        times = [to_ntp(sent + 2 * MILLISECOND), to_ntp(sent + MILLISECOND), to_ntp(sent)]
        extra = tlv.Tlv(tlv.Type.FOLLOW_UP, value.encode(), 0).encode()
        reply = Reply(number, times[0], FREE, 7, times[1], number, times[2], FREE, 64, extra)
        sender.received(encode_reply(reply), sent + 3 * MILLISECOND, by_kernel=True)
    first = sender.exchanges[0].arrival
    assert first.followed_up is used
    assert abs(first.reflector_sent_ns - (reported_ns if used else NOW + 2 * MILLISECOND)) <= 1
    second = sender.exchanges[1].arrival
    assert not second.followed_up
