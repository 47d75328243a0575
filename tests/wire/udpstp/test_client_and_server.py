"""Whole tests in simulated time: the report beside the truth of the link."""

import pytest
from msgspec.structs import replace

from tests.wire.udpstp.simulation import (
    CLIENT,
    KEYS,
    MS,
    SERVER,
    TEST_PORT,
    WALL,
    S,
    World,
    plan_for,
    setup,
    signed,
)  # fmt: skip
from wire.records import Direction
from wire.udpstp import pdu, server
from wire.udpstp.auth import AuthenticationFault
from wire.udpstp.load import Ending, Search
from wire.udpstp.reception import Limits, Offer, Reception, SetupFault, Unanswered, coerced
from wire.udpstp.server import ServerOutcome, ServerTest

STATUSES, PROBES = 15, 200  # at most, after a load on a clean link
LEAD_IN = 6_000  # bytes at most, down
LEAD_IN_NS = 340 * MS  # and a Status for each of four of its packets

BOTH = pytest.mark.parametrize("direction", list(Direction))


def is_status(packet: bytes) -> bool:
    return packet[:2] == b"\xfe\xed"


@BOTH
@pytest.mark.parametrize(("row", "packets"), [(8, 1000), (20, 2000)])
def test_on_a_clean_link_all_packets_sent_are_received(direction: Direction, row: int, packets: int) -> None:
    world = World()
    report = world.run(plan_for(direction, row=row))
    assert (report.ending, report.detail) == (Ending.COMPLETED, "")
    assert report.sent_packets == report.received_packets == report.planned_packets == packets
    assert report.sent_ip_bytes == report.received_ip_bytes == row * 125_000
    assert (report.lost, report.reordered, report.duplicated, report.estimated_packets) == (0, 0, 0, 0)
    assert report.sent_bps == pytest.approx(row * 1e6, rel=0.002)
    assert report.received_bps == pytest.approx(row * 1e6, rel=0.002)
    assert (report.stall_us, report.longest_gap_us, report.backoff_steps) == (0, 1000, 0)
    assert sum(interval.ip_bytes for interval in report.intervals) == row * 125_000
    assert len(report.intervals) in (20, 21)
    assert report.rtt_min_us in range(20_000, 20_100)
    assert world.test.outcome is ServerOutcome.COMPLETED
    assert report.session == world.test.offer.session == f"{WALL // S:08x}-1234-{TEST_PORT:04x}"
    assert report.bytes_sent == world.up.carried
    assert report.bytes_received <= world.down.carried
    smaller, larger = sorted((report.bytes_sent, report.bytes_received))
    assert smaller <= 6_000 + LEAD_IN + STATUSES * 232
    assert row * 125_000 <= larger <= row * 125_000 + 1000 + LEAD_IN + PROBES * 60


@pytest.mark.parametrize(("direction", "skew_ms"), [(Direction.DOWN, -3000), (Direction.UP, 3000)])
def test_a_narrow_line_shows_as_growing_delay_with_any_clock_offset(
    direction: Direction, skew_ms: int
) -> None:
    world = World(skew_ns=skew_ms * MS)
    world.way(direction).rate = 6.4e6
    report = world.run(plan_for(direction, seconds=2))
    assert report.ending is Ending.COMPLETED
    assert report.received_packets == report.sent_packets == 2000
    assert report.received_bps == pytest.approx(6.4e6, rel=0.01)
    assert report.sent_bps == pytest.approx(8e6, rel=0.001)
    last = report.intervals[-2]
    assert last.delay_mean_us == pytest.approx(last.offset_us * (1 - 6.4 / 8), rel=0.05)


@BOTH
def test_drops_of_a_short_queue_count_as_lost_also_at_the_end(direction: Direction) -> None:
    world = World()
    way = world.way(direction)
    way.rate, way.queue_ms = 6e6, 50
    report = world.run(plan_for(direction, seconds=2))
    assert report.ending is Ending.COMPLETED
    assert report.sent_packets == 2000
    assert report.lost == report.sent_packets - report.received_packets
    assert report.received_packets == pytest.approx(1500 + 50, abs=20)
    assert report.received_bps == pytest.approx(6e6, rel=0.03)


@BOTH
@pytest.mark.parametrize(("seed", "loss"), [(1, 0.01), (2, 0.05)])
def test_loss_of_load_and_feedback(direction: Direction, seed: int, loss: float) -> None:
    """Control PDUs arrive here. Half the tests lose Status PDUs, and the totals are still exact."""
    through = (b"\xac\xe1", b"\xac\xe2")
    world = World()
    for way in (world.up, world.down):
        way.randomness.seed(seed)
        rolls = way.randomness
        way.drops = lambda packet, _now, rolls=rolls: packet[:2] not in through and rolls.random() < loss  # type: ignore[misc]
    report = world.run(plan_for(direction, seconds=2))
    assert report.ending is Ending.COMPLETED
    assert report.sent_packets in range(2000, 2003)
    arrived = world.way(direction).loads - (
        world.test._end.lead_in.packets if direction is Direction.DOWN else 0
    )
    assert report.received_packets == pytest.approx(arrived, abs=4)
    assert report.lost == report.sent_packets - report.received_packets
    assert report.lost / 2000 == pytest.approx(loss, abs=3 * (loss / 2000) ** 0.5)


def test_totals_survive_lost_status_pdus() -> None:
    lost = {3, 4, 9, 10, 17}
    world = World()
    world.down.drops = lambda packet, _now: is_status(packet) and int.from_bytes(packet[4:8]) in lost
    report = world.run(plan_for(Direction.UP))
    assert (report.received_packets, report.lost, report.status_lost) == (1000, 0, 5)
    assert report.estimated_packets == 0
    assert sum(interval.datagrams for interval in report.intervals) == 1000 - 5 * 50


def test_packets_before_a_lost_first_status_are_estimated_and_marked_so() -> None:
    world = World()
    world.down.drops = lambda packet, _now: is_status(packet) and int.from_bytes(packet[4:8]) == 1
    report = world.run(plan_for(Direction.UP))
    assert (report.received_packets, report.lost) == (1000, 0)
    assert report.estimated_packets in (50, 51)


@BOTH
def test_a_lost_control_message_ends_the_attempt(direction: Direction) -> None:
    for identifier, ending in ((b"\xac\xe1", Ending.NO_ANSWER), (b"\xac\xe2", Ending.TEST_PORT_SILENT)):
        for way in ("up", "down"):
            world = World()
            getattr(world, way).drops = lambda packet, _now, lost=identifier: packet[:2] == lost
            report = world.run(plan_for(direction))
            assert report.ending is ending
            assert report.sent_packets == report.received_packets == 0
            assert world.now < 4 * S
            assert world.test is None or world.test.load_packets < 200


def test_a_lost_null_request_changes_nothing() -> None:
    world = World()
    world.down.drops = lambda packet, _now: packet[:2] == b"\xde\xad"
    assert world.run(plan_for(Direction.DOWN)).received_packets == 1000


@BOTH
def test_a_wrong_key_gets_no_answer(direction: Direction) -> None:
    world = World()
    report = world.run(plan_for(direction, secret=b"another"))
    assert (report.ending, report.detail) == (Ending.NO_ANSWER, "no answer to the set-up request")
    assert world.down.carried == 0


def test_an_answer_with_another_key_is_distinguished_from_no_answer() -> None:
    world = World()
    answer = signed(setup(command=pdu.RESPONSE, response=7, ident=0x1234, bandwidth_mbps=0), KEYS.server)
    world._send(answer, to_server=False, source=SERVER)
    report = world.run(plan_for(Direction.DOWN, secret=b"another"))
    assert report.ending is Ending.BAD_AUTHENTICATION
    assert "does not know this key" in report.detail


@BOTH
def test_a_clock_six_seconds_off_needs_the_offset(direction: Direction) -> None:
    plan = plan_for(direction)
    assert World(skew_ns=6 * S).run(plan).ending is Ending.NO_ANSWER
    assert World(skew_ns=6 * S).run(replace(plan, auth_offset_s=6.0)).ending is Ending.COMPLETED


@BOTH
def test_a_refusal_keeps_its_code(direction: Direction) -> None:
    report = World(refuse_with=10).run(plan_for(direction))
    assert (report.ending, report.refusal) == (Ending.REFUSED, 10)
    assert report.detail == "the peer refuses (code 10): its capacity is in use"


@BOTH
def test_a_row_above_the_servers_maximum_is_refused(direction: Direction) -> None:
    world = World(limits=Limits(highest_row=5))
    report = world.run(plan_for(direction))
    assert (report.ending, report.refusal) == (Ending.REFUSED, 2)
    assert (world.test.outcome, world.test.load_packets) == (ServerOutcome.REFUSED, 0)


@BOTH
def test_a_longer_test_than_asked_is_ended_by_the_client(
    direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference server changes 2 s to 10 s: its shortest test is 5 s."""
    monkeypatch.setattr(server, "coerced", lambda request, _limits: replace(request, test_s=10))
    world = World()
    report = world.run(plan_for(direction))
    assert report.ending is Ending.COMPLETED
    assert report.sent_packets == report.received_packets == 1000
    assert world.now < 2.2 * S  # drain probes up take 0.7 s
    assert world.test.outcome is ServerOutcome.STOPPED_BY_CLIENT
    assert world.test.load_packets < 1050


@BOTH
@pytest.mark.parametrize(("search", "change", "detail"), [
    *((None, change, "") for change in
      ({"row": pdu.SEARCH_INDEX}, {"row": 7}, {"modifiers": 1}, {"trial_interval": 0})),
    (Search(), {"row": 8, "modifiers": 0}, "at a fixed rate"),
    (Search(), {"row": 60, "modifiers": 1}, "begin its search at row 60"),
    (Search(), {"algorithm": 1}, "another algorithm"), (Search(), {"trial_interval": 0}, "impossible"),
])  # fmt: skip
def test_a_test_other_than_the_planned_one_is_stopped_at_once(
    direction: Direction, search: Search | None, change: dict[str, int], detail: str
) -> None:
    world = World()
    world.alter_activation(**change)
    report = world.run(plan_for(direction, search=search, row=50 if search else 8))
    assert report.ending is Ending.COERCED
    assert detail in report.detail
    assert report.received_packets < 100
    assert world.now < S


@BOTH
def test_cancelling_stops_both_ends_at_once(direction: Direction) -> None:
    world = World()
    report = world.run(plan_for(direction, seconds=10), cancel_at=S)
    assert report.ending is Ending.STOPPED
    lead_in_ms = LEAD_IN_NS // MS if direction is Direction.DOWN else 0
    assert report.received_packets == pytest.approx(960 - lead_in_ms, abs=60)
    assert world.now < 1.3 * S
    assert world.test.outcome is ServerOutcome.STOPPED_BY_CLIENT


@BOTH
def test_a_peer_that_dies_is_noticed_by_the_watchdog(direction: Direction) -> None:
    world = World(server_dies_at=S // 2)
    report = world.run(plan_for(direction, seconds=10))
    assert report.ending is Ending.WATCHDOG
    assert 3.4 * S < world.now < 3.8 * S
    if direction is Direction.UP:
        assert report.backoff_steps > 3
        assert report.sent_packets < 1200


@BOTH
def test_a_client_that_dies_is_noticed_by_the_server(direction: Direction) -> None:
    world = World()
    world.up.drops = lambda _packet, now: now > S // 2
    world.run(plan_for(direction, seconds=10))
    assert world.test.outcome is ServerOutcome.WATCHDOG
    if direction is Direction.DOWN:
        assert world.test.load_packets < 2200, "the sender backs off for want of feedback"


def _offer(source: tuple[str, int] = CLIENT) -> Offer:
    return Reception({7: b"secret"}).receive(signed(setup()), source, WALL)


def _activation(**changes: int) -> bytes:
    values = {"command": pdu.DOWNSTREAM, "row": 8, "test_s": 1, "auth_time": WALL // S, "key_id": 7} | changes
    return signed(pdu.Activation(**values))


def _answer(packet: bytes, source: tuple[str, int] = CLIENT) -> pdu.Activation | None:
    test = ServerTest(_offer(), Limits(), 0)
    buffer = bytearray(2000)
    assert test.transmit(buffer, 0, WALL) == 48
    test.receive(packet, source, MS, WALL)
    size = test.transmit(buffer, MS, WALL)
    return pdu.parse_activation(bytes(buffer[:size])) if size else None


@pytest.mark.parametrize("changes", [
    {"row": 9}, {"row": 1153}, {"command": pdu.UPSTREAM}, {"command": 3},
])  # fmt: skip
def test_parameters_that_are_refused(changes: dict[str, int]) -> None:
    assert _answer(_activation(**changes)).response == 2


def test_an_activation_binds_to_the_host_of_the_set_up_and_needs_a_valid_digest() -> None:
    packet = _activation()
    assert _answer(packet, (CLIENT[0], 40_001)) is not None
    assert _answer(packet, ("192.0.2.2", 40_000)) is None
    assert _answer(packet[:70] + bytes([packet[70] ^ 1]) + packet[71:]) is None


@pytest.mark.parametrize(("asked", "given"), [
    ({"test_s": 0}, {"test_s": 1}), ({"test_s": 1}, {"test_s": 1}), ({"test_s": 3601}, {"test_s": 60}),
    ({"trial_interval": 4}, {"trial_interval": 50}), ({"low_threshold": 100}, {"low_threshold": 30}),
    ({"dscp_ecn": 0xBB}, {"dscp_ecn": 0xB8}), ({"modifiers": 2}, {"modifiers": 0}),
    ({"sub_interval": 99}, {"sub_interval": 1000}), ({"algorithm": 7}, {"algorithm": 0}),
    ({"high_speed_delta": 0}, {"high_speed_delta": 10}), ({"one_way_variation": 9}, {"one_way_variation": 1}),
])  # fmt: skip
def test_values_that_are_coerced(asked: dict[str, int], given: dict[str, int]) -> None:
    answer = coerced(pdu.parse_activation(_activation(**asked)), Limits())
    assert {name: getattr(answer, name) for name in given} == given


@pytest.mark.parametrize(("changes", "code"), [
    ({"version": 19}, 2), ({"modifiers": 3}, 11), ({"count": 2}, 12), ({"ident": 0}, 12),
    ({"bandwidth_mbps": 0}, 9),
])  # fmt: skip
def test_set_ups_that_are_refused(changes: dict[str, int], code: int) -> None:
    taken = Reception({7: b"secret"}).receive(signed(setup(**changes)), CLIENT, WALL)
    answer = pdu.parse_setup(taken.answer)
    assert (taken.code, answer.response, answer.version) == (code, code, 20)


def test_datagrams_without_an_answer_from_the_control_port() -> None:
    good, reception = signed(setup()), Reception({7: b"secret"})
    silent = {
        SetupFault.MALFORMED: [good[:-1], good + b"\0", b""],
        SetupFault.NO_REQUEST: [signed(setup(command=pdu.RESPONSE))],
        SetupFault.UNKNOWN_KEY_ID: [signed(setup(key_id=8))],
        AuthenticationFault.DIGEST: [signed(setup(), KEYS.server)],
        AuthenticationFault.MODE: [signed(setup(auth_mode=2)), signed(setup(auth_mode=0))],
    }
    for reason, packets in silent.items():
        assert {reception.receive(packet, CLIENT, WALL).reason for packet in packets} == {reason}
    assert reception.receive(good, CLIENT, WALL + 6 * S) == Unanswered(AuthenticationFault.TIME, 7)
    assert isinstance(reception.receive(good, CLIENT, WALL), Offer)
    assert reception.receive(good, CLIENT, WALL) == Unanswered(AuthenticationFault.REPLAYED, 7)


def test_one_key_does_not_fill_the_replay_cache_of_another() -> None:
    reception = Reception({7: b"secret", 8: b"secret"})
    for number in range(2000):
        taken = reception.receive(signed(setup(ident=number + 1)), (f"192.0.2.{number % 250}", 9), WALL)
    assert taken == Unanswered(AuthenticationFault.CROWDED, 7)
    assert isinstance(reception.receive(signed(setup(key_id=8)), CLIENT, WALL), Offer)


def test_an_unproven_address_gets_less_than_twice_what_it_sent() -> None:
    offer = _offer()
    null = ServerTest(offer, Limits(), 0).transmit(bytearray(2000), 0, WALL)
    assert len(offer.accept(TEST_PORT, WALL)) + null <= 2 * 56


def test_repr_of_a_plan_shows_no_secret() -> None:
    assert "secret" not in repr(plan_for(Direction.DOWN))
