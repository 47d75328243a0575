"""Sender and reflector over a fake link, whose truth about every packet is known."""

import random
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from wire.records import Spread
from wire.stamp import tlv
from wire.stamp.loss import DirectionalLoss
from wire.stamp.packet import Reply, encode_reply
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


def odd(usual_us: int, largest_us: int) -> Spread:
    """Spread of ten values of which one is larger."""
    return Spread(min_us=usual_us, p50_us=usual_us, p95_us=largest_us, p99_us=largest_us)


def assert_of(result: TrainStatistics, **found: object) -> None:
    assert {name: getattr(result, name) for name in found} == found


@pytest.mark.parametrize(("there", "back", "found"), [
    pytest.param(there, back, found, id=name) for name, there, back, found in [
        ("clean", Link(), Link(), {
            "sent": 10, "received": 10, "loss_ratio": 0.0, "rtt": flat(2000), "variation_forward": flat(0),
            "variation_return": flat(0), "delay_forward": None, "delay_return": None, "reordered_forward": 0,
            "reordered_return": 0, "duplicated_forward": 0, "duplicated_return": 0, "kernel_stamps": True,
        }),
        ("loss", Link(lost={1, 2}), Link(lost={4}),
         {"received": 7, "loss_ratio": 0.3, "loss": DirectionalLoss(10, 2, 1)}),
        ("silence", Link(lost=set(range(10))), Link(),
         {"received": 0, "loss_ratio": 1.0, "loss": None, "rtt": None, "kernel_stamps": False}),
        ("reordered there", Link(delays={3: 15 * MILLISECOND}), Link(),
         {"reordered_forward": 1, "reordered_return": 0, "loss": DirectionalLoss(10, 0, 0)}),
        ("reordered back", Link(), Link(delays={3: 25 * MILLISECOND}),
         {"reordered_forward": 0, "reordered_return": 1}),
        ("duplicated", Link(copies={2}), Link(copies={5, 6}),
         {"sent": 10, "received": 10, "duplicated_forward": 1, "duplicated_return": 2}),
    ]
])  # fmt: skip
def test_statistics_of_a_train(ends, there, back, found):
    result = ends.run(there, back)
    assert_of(result, **found)
    duplicates = result.duplicated_forward + result.duplicated_return
    counted = {ReplyVerdict.ACCEPTED: result.received, ReplyVerdict.DUPLICATE: duplicates}
    assert ends.sender.counters == {verdict: count for verdict, count in counted.items() if count}


def test_clock_offsets_leave_round_trip_and_variation_alone(ends):
    ends.offset = -3 * 3600 * SECOND
    result = ends.run(Link(delays={4: 6 * MILLISECOND}), Link(delays={8: 3 * MILLISECOND}))
    assert (result.rtt, result.variation_forward, result.variation_return) == (
        odd(2000, 7000), odd(0, 5000), odd(0, 2000),
    )  # fmt: skip


def test_one_way_delays_need_both_clocks(ends):
    for clocks in ((FREE, SYNCHRONISED), (SYNCHRONISED, FREE), (SYNCHRONISED, ErrorEstimate(True, ptp=True))):
        ends.clocks = clocks
        assert ends.run(Link(), Link()).delay_forward is None
    ends.clocks = (SYNCHRONISED, SYNCHRONISED)
    result = ends.run(Link(), Link(delays=dict.fromkeys(range(10), 4 * MILLISECOND)))
    assert (result.delay_forward, result.delay_return) == (flat(1000), flat(4000))


def test_a_late_reply_is_lost_and_counted_separately(ends):
    result = ends.run(Link(), Link(delays={4: 3 * SECOND}), timeout=2 * SECOND)
    assert_of(result, received=9, late=1, timeout_us=2_000_000, loss_ratio=0.1, loss=None, rtt=flat(2000))


def test_class_of_service_shows_remarking_both_ways():
    ends = Ends(SenderSettings(ssid=7, key=KEY, wanted_dscp=46), dscp=46)
    result = ends.run(Link(dscp=10), Link())
    assert (result.forward_dscp, result.reply_dscp, result.refused_dscp) == (10, 46, False)


def test_a_missing_transmit_stamp_shows_and_a_stateless_reflector_gives_no_directions(ends):
    ends.run(Link(lost={2}), Link())
    ends.sender.exchanges[3].sent_by_kernel = False
    result = train_statistics(ends.sender.exchanges, ends.sender.duplicates, SECOND, stateful=False)
    assert_of(result, kernel_stamps=False, loss=None, loss_ratio=0.1)


def test_replies_of_other_trains_are_counted_and_ignored(ends):
    ends.reflector = SessionReflector(ReflectorSettings(keys=(KEY,), open_mode=True))
    first = SessionSender(ends.settings)
    request = first.packet(NOW, FREE)
    ((_, reply),) = ends.reflect(Link(), [(NOW, request)])
    other_ssid = replace(ends.settings, ssid=8)
    for settings, packets in ((ends.settings, 1), (ends.settings, 0), (other_ssid, 1)):
        other = SessionSender(settings)
        for number in range(packets):
            other.packet(NOW + 1 + number, FREE)
        assert other.received(reply, NOW, by_kernel=True) is ReplyVerdict.NOT_OURS
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
    assert sender.exchanges[0].arrival.sender_ttl is None


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


@pytest.mark.parametrize(("there", "back", "found"), [
    pytest.param(there, back, found, id=name) for name, there, back, found in [
        ("clean", Link(), Link(), {"sent": 10, "received": 10, "followed_up": 10, "rtt": flat(2000)}),
        # Request 2 was never counted: the reply to 3 reports that to 1. Reply 5 of the link reported reply 4.
        ("a reply before a lost one keeps its T3", Link(lost={2}), Link(lost={5}),
         {"received": 8, "followed_up": 7, "rtt": odd(2000, 2400)}),
        ("out of order", Link(), Link(delays={3: 25 * MILLISECOND}),
         {"reordered_return": 1, "followed_up": 10}),
        # T3 of the answer to the copy of 2 is before the first answer was sent: its report is impossible.
        ("duplicated", Link(copies={2}), Link(copies={6}),
         {"followed_up": 9, "rtt": odd(2000, 2400), "duplicated_forward": 1, "duplicated_return": 1}),
    ]
])  # fmt: skip
def test_the_reflectors_delay_is_not_part_of_the_round_trip(followed, there, back, found):
    assert_of(followed.run(there, back), **found)
    assert len(followed.sender.exchanges) == 10
    assert followed.sender.counters[ReplyVerdict.CLOSING] == 1


def test_without_a_request_the_delay_is_part_of_the_round_trip(ends):
    ends.stamps = True
    assert_of(ends.run(Link(), Link()), rtt=flat(2400), followed_up=0)
    assert ends.sender.counters == {ReplyVerdict.ACCEPTED: 10}


def test_clock_offsets_do_not_change_the_correction_and_return_delays_are_corrected_too(followed):
    followed.offset = 3 * 3600 * SECOND
    assert followed.run(Link(), Link()).rtt == flat(2000)
    followed.offset, followed.clocks, followed.unstamped = 0, (SYNCHRONISED, SYNCHRONISED), {4}
    result = followed.run(Link(), Link())
    assert_of(result, delay_forward=flat(1000), delay_return=odd(1000, 1400), followed_up=9)


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


@pytest.mark.parametrize(("sequence", "reported_ns", "used"), [
    pytest.param(*case, id=name) for name, case in {
        "late": (0, NOW + 3 * MILLISECOND, True),
        "before its own stamp": (0, NOW + 2 * MILLISECOND - 1000, False),
        "at its own stamp": (0, NOW + 2 * MILLISECOND, True),
        "at its arrival": (0, NOW + 4 * MILLISECOND, True),
        "after its arrival": (0, NOW + 4 * MILLISECOND + 1000, False),
        "after the reply that reports it": (0, NOW + INTERVAL + 3 * MILLISECOND, False),
        "of the reply that reports it": (1, NOW + 3 * MILLISECOND, False),
        "of a reply not of ours": (7, NOW + 3 * MILLISECOND, False),
        "nothing": (0, 0, False),
    }.items()
])  # fmt: skip
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
    first, second = (one.arrival for one in sender.exchanges)
    assert (first.followed_up, second.followed_up) == (used, False)
    assert abs(first.reflector_sent_ns - (reported_ns if used else NOW + 2 * MILLISECOND)) <= 1
