"""Records of the outage rules, for faults of a simulated network."""

from collections.abc import Callable
from typing import Any

import pytest

from agent.probes.reachability.rules.network_view import EgressKind, OutageScope, Target
from tests.agent.probes.reachability.world import (
    INTERVAL_S,
    Run,
    World,
    at,
    during,
    fresh_rules,
    never,
    second_of,
    who,
)
from wire.ip_layer import IPV4_UDP_BYTES
from wire.records import Cause
from wire.stamp.packet import AUTHENTICATED_BASE_BYTES

OUT, BACK, END = 301.0, 503.0, 800.0
SPAN = during((OUT, BACK))
TWO = 2 * INTERVAL_S


def world(**out: Any) -> World:
    return World(**out)


CAUSES = {
    "the gateway": (world(gateway=SPAN), Cause.SITE),
    "the cable": (world(carrier=SPAN), Cause.SITE),
    "the access line": (world(access=SPAN), Cause.ACCESS),
    "what is beyond the hop": (world(beyond=SPAN), Cause.BEYOND),
    "the peer's machine": (world(peer=SPAN), Cause.PEER),
    "the peer's program": (world(peer_program=SPAN), Cause.PEER),
    "the broker's program": (world(broker_program=SPAN), Cause.BROKER),
    "the access line of a router": (world(kind=EgressKind.POINT_TO_POINT, access=SPAN), Cause.ACCESS),
    "the interface of a router": (world(kind=EgressKind.POINT_TO_POINT, carrier=SPAN), Cause.ACCESS),
    "a neighbouring peer": (world(kind=EgressKind.DIRECT, peer=SPAN), Cause.PEER),
    "the access line, the broker on this side": (world(access=SPAN, broker_shares=False), Cause.ACCESS),
    "a peer, the broker on this side": (world(peer_program=SPAN, broker_shares=False), Cause.PEER),
    "the access line, the gateway silent to all": (world(access=SPAN, gateway_filters=True), Cause.UNKNOWN),
    "the access line, the hop silent to all": (world(access=SPAN, hop_filters=True), Cause.UNKNOWN),
    "beyond, the gateway silent to all": (world(beyond=SPAN, gateway_filters=True), Cause.BEYOND),
    "either, nothing else to ask": (world(beyond=SPAN, broker_shares=False), Cause.UNKNOWN),
}


@pytest.mark.parametrize(("out", "cause"), CAUSES.values(), ids=CAUSES.keys())
def test_each_outage_is_recorded_once_with_its_cause_and_in_time(out: World, cause: Cause) -> None:
    run = Run(out).until(END)
    [(begin_told, begun), (end_told, ended)] = run.records
    assert (begun.cause, ended.cause, begun.outage) == (cause, cause, ended.outage)
    begin, end = second_of(begun.begin), second_of(ended.end)
    assert OUT <= begin <= OUT + TWO
    assert begin - begun.begin_error_us / 1e6 <= OUT
    assert begun.begin_error_us <= TWO * 1e6
    assert BACK <= end <= BACK + TWO
    assert end - (ended.end_error_us or 0) / 1e6 <= BACK
    assert (begun.end, ended.begin) == (None, begun.begin)
    assert begin_told - OUT < 4 * INTERVAL_S
    assert end_told - BACK < 2 * INTERVAL_S


def test_a_silent_broker_is_recorded_when_its_session_is_lost() -> None:
    run = Run(World(broker=SPAN)).until(END)
    [begun], [ended] = run.begun, run.ended
    assert (begun.cause, ended.cause) == (Cause.BROKER, Cause.BROKER)
    assert OUT + 44 <= second_of(begun.begin) <= OUT + 49
    assert second_of(begun.begin) - begun.begin_error_us / 1e6 <= OUT
    assert BACK <= second_of(ended.end) <= BACK + TWO


def test_a_broker_without_sessions_is_out_but_not_within_the_first_minute() -> None:
    assert (
        Run(World(broker_program=during((300, 304)), broker_refuses=during((304, 360)))).until(END).records
        == []
    )
    run = Run(World(broker_program=during((300, 304)), broker_refuses=during((304, 600)))).until(END)
    [begun], [ended] = run.begun, run.ended
    assert begun.cause is Cause.BROKER
    assert 300 <= second_of(begun.begin) <= 320
    assert 600 <= second_of(ended.end) <= 602


def test_a_collector_is_out_when_batches_get_no_receipt() -> None:
    run = Run(World(collector=during((310, 500)))).until(END)
    [begun], [ended] = run.begun, run.ended
    assert (begun.cause, begun.peer, begun.broker, begun.collector) == (Cause.COLLECTOR, True, True, False)
    assert 310 <= second_of(begun.begin) <= 370
    assert second_of(begun.begin) - begun.begin_error_us / 1e6 <= 310
    assert 500 <= second_of(ended.end) <= 560
    assert second_of(ended.end) - (ended.end_error_us or 0) / 1e6 <= 500


def test_the_record_has_the_answers_of_all_targets() -> None:
    told = {
        name: who(Run(World(**{name: SPAN})).until(450).begun[0]) for name in ("gateway", "access", "beyond")
    }
    nobody = {"peer": False, "broker": False, "collector": None}
    assert told["gateway"] == {"gateway": False, "first_hop": False, **nobody}
    assert told["access"] == {"gateway": True, "first_hop": False, **nobody}
    assert told["beyond"] == {"gateway": True, "first_hop": True, **nobody}
    assert who(Run(World(peer=SPAN)).until(450).begun[0]) == {
        "gateway": True, "first_hop": True, "peer": False, "broker": True, "collector": None
    }  # fmt: skip


def test_lost_packets_are_no_outage() -> None:
    assert Run(World(loss=0.1)).until(21_600).records == []


@pytest.mark.parametrize("name", ["gateway", "access", "beyond", "peer", "broker_program", "carrier"])
def test_a_few_seconds_are_no_outage(name: str) -> None:
    assert Run(World(**{name: during((300, 306))})).until(END).records == []


def test_during_a_load_test_nothing_is_polled_or_recorded() -> None:
    run = Run(World(access=during((300, 420)), loss=0.0), busy=during((290, 380))).until(END)
    [begun], [ended] = run.begun, run.ended
    assert not [second for asks in run.polled.values() for second in asks if 290 <= second < 380]
    assert second_of(begun.begin) == 380
    assert second_of(begun.begin) - begun.begin_error_us / 1e6 <= 300
    assert 420 <= second_of(ended.end) <= 440


def test_a_cause_that_becomes_known_is_in_the_record_of_the_end() -> None:
    out = World(gateway=SPAN, gateway_filters=True, neighbour_fails_after_s=60)
    run = Run(out).until(END)
    [begun], [ended] = run.begun, run.ended
    assert (begun.cause, ended.cause) == (Cause.UNKNOWN, Cause.SITE)
    assert (begun.gateway, ended.gateway) == (None, False)


def test_a_gateway_that_stops_answering_alone_is_no_outage_and_no_evidence_later() -> None:
    out = World(access=during((900, 1000)))
    run = Run(out).until(300)
    out.gateway_filters = True
    run.until(1200, begin=300)
    assert [one.cause for one in run.begun] == [Cause.UNKNOWN]
    assert len(run.polled[Target.PEER]) < 120


def test_an_outage_of_the_line_during_one_of_the_peer_is_recorded_too() -> None:
    out = World(peer_program=during((300, 900)), access=during((500, 700)))
    run = Run(out).until(1200)
    spans = {one.cause: (second_of(one.begin), second_of(one.end)) for one in run.ended}
    assert set(spans) == {Cause.PEER, Cause.ACCESS}
    assert spans[Cause.PEER][1] >= 900
    assert 500 <= spans[Cause.ACCESS][0] <= 520
    assert 700 <= spans[Cause.ACCESS][1] <= 720


def test_a_broker_lost_with_the_line_is_no_second_outage() -> None:
    assert {one.cause for one in Run(World(access=during((300, 1500)))).until(2000).begun} == {Cause.ACCESS}


def test_an_open_outage_of_an_earlier_run_ends_with_its_id() -> None:
    first = Run(World(access=during((300, 700)))).until(500)
    [opened] = first.begun
    rules = fresh_rules(previous_run=at(500))
    rules.outages[OutageScope.LINE] = opened
    second = Run(World(access=during((300, 700))), rules=rules).until(900, begin=520)
    [ended] = second.ended
    assert (second.begun, ended.outage, ended.cause) == ([], opened.outage, Cause.ACCESS)
    assert 700 <= second_of(ended.end) <= 720


def test_an_outage_that_ended_while_the_agent_was_stopped_ends_at_its_first_look() -> None:
    rules = fresh_rules(previous_run=at(500))
    rules.outages[OutageScope.LINE] = Run(World(access=during((300, 700)))).until(450).begun[0]
    run = Run(World(), rules=rules).until(1000, begin=900)
    [ended] = run.ended
    assert (second_of(ended.end) // 1, ended.end_error_us) == (900, 400_000_000)


def test_an_outage_at_the_start_began_after_the_previous_run() -> None:
    rules = fresh_rules(previous_run=at(100))
    for target in Target:
        rules.targets[target].known = True
    run = Run(World(access=during((0, 700))), rules=rules).until(900, begin=160)
    [begun], [ended] = run.begun, run.ended
    assert (begun.cause, second_of(begun.begin), begun.begin_error_us) == (Cause.ACCESS, 160, 60_000_000)
    assert 700 <= second_of(ended.end) <= 720


def test_an_outage_without_an_earlier_run_is_unknown_and_as_old_as_the_boot() -> None:
    run = Run(World(access=during((0, 700)))).until(300)
    [begun] = run.begun
    assert (begun.cause, begun.begin_error_us) == (Cause.UNKNOWN, begun.begin.boot_us)


@pytest.mark.parametrize(
    ("train", "least", "most"),
    [(never, 112_000, 116_000), (lambda second: second % 60 < 10, 60_000, 71_000)],
    ids=["no train", "a train a minute"],
)
def test_two_hours_cost_the_line_a_twelfth_of_what_is_documented_for_a_day(
    train: Callable[[float], bool], least: int, most: int
) -> None:
    """At the IP layer, both ways, over IPv4: what the plan asks for, in the packets that are sent for it.

    A router's answer holds the empty datagram that it is about, behind 28 bytes of its own.
    """
    run = Run(World(), train=train).until(7200)
    peer = len(run.polled[Target.PEER]) * 2 * (IPV4_UDP_BYTES + AUTHENTICATED_BASE_BYTES)
    hop = len(run.polled[Target.FIRST_HOP]) * (IPV4_UDP_BYTES + 28 + IPV4_UDP_BYTES)
    assert least < peer + hop < most
    assert len(run.polled[Target.GATEWAY]) == 720
    assert len(run.polled[Target.BROKER]) < 5


def test_an_unknown_first_hop_is_polled_more_often() -> None:
    silent, answering = (Run(World(hop_filters=filters)).until(3600) for filters in (True, False))
    assert len(silent.polled[Target.FIRST_HOP]) == 30
    assert len(answering.polled[Target.FIRST_HOP]) == 12
