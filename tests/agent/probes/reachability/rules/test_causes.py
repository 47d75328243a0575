"""Causes that other things imitate: boxes on the way that answer TCP, and resolvers that do not answer."""

from collections.abc import Callable

import pytest

from agent.probes.reachability.rules.network_view import EgressKind, OutageScope, Target, UplinkState
from tests.agent.probes.reachability.world import (
    INTERVAL_S,
    Run,
    World,
    at,
    during,
    fresh_rules,
    second_of,
    who,
)
from wire.records import Cause

OUT, BACK, END = 301.0, 903.0, 1300.0
SPAN = during((OUT, BACK))
RARELY = 31 * INTERVAL_S


def boxed(how: str) -> Callable[[float], str]:
    return lambda _: how


@pytest.mark.parametrize("how", ["accept", "refuse"])
@pytest.mark.parametrize(("section", "cause"), [("access", Cause.ACCESS), ("gateway", Cause.SITE)])
def test_a_box_before_the_line_speaks_neither_for_broker_nor_for_peer(
    section: str, cause: Cause, how: str
) -> None:
    run = Run(World(**{section: SPAN}, box=boxed(how))).until(END)
    [begun], [ended] = run.begun, run.ended
    assert (begun.cause, ended.cause) == (cause, cause)
    assert OUT <= second_of(begun.begin) <= OUT + 2 * INTERVAL_S
    assert BACK <= second_of(ended.end) <= BACK + 2 * INTERVAL_S
    assert begun.impostor is (True if how == "accept" and section == "access" else None)
    assert (begun.peer, begun.broker) == (False, False)


def test_a_box_that_accepts_beyond_the_hop_is_named_and_is_no_broker() -> None:
    run = Run(World(beyond=SPAN, box=boxed("accept"))).until(END)
    assert [(one.cause, one.impostor) for one in run.begun] == [(Cause.BEYOND, True)]


def test_refusals_before_a_hop_that_never_answered_leave_the_cause_unknown() -> None:
    run = Run(World(access=SPAN, box=boxed("refuse"), hop_filters=True)).until(END)
    assert [one.cause for one in run.begun] == [Cause.UNKNOWN]


def test_programs_that_are_out_together_behind_a_hop_that_answers_are_no_line() -> None:
    run = Run(World(peer_program=SPAN, broker_program=SPAN)).until(END)
    assert {one.cause for one in run.begun} == {Cause.PEER, Cause.BROKER}


def test_a_line_that_is_cut_while_both_programs_are_out_is_an_outage_of_the_line() -> None:
    both = during((301, 2000))
    run = Run(World(peer_program=both, broker_program=both, access=during((601, 903)))).until(END)
    assert [one.cause for one in run.begun][2:] == [Cause.ACCESS]
    assert 601 <= second_of(run.begun[2].begin) <= 601 + 2 * INTERVAL_S


def test_a_silent_hop_speaks_for_the_line_while_the_peer_is_out() -> None:
    """Only the session, which takes a minute to notice, crosses the line then."""
    out = World(peer_program=during((301, 2000)), access=during((601, 903)), keepalive_s=1e9)
    run = Run(out).until(END)
    assert [one.cause for one in run.begun] == [Cause.PEER, Cause.ACCESS]
    assert 601 <= second_of(run.begun[1].begin) <= 601 + 2 * INTERVAL_S


def test_a_receipt_ends_an_outage_of_the_line_whatever_else_is_silent() -> None:
    run = Run(World(access=SPAN)).until(500)
    assert OutageScope.LINE in run.rules.outages
    run.rules.decide(at(500), World().egress(500), UplinkState(connected=True, last_receipt=at(500)))
    assert OutageScope.LINE not in run.rules.outages


def test_a_resolver_that_is_out_is_its_own_outage_and_no_other() -> None:
    run = Run(World(resolver=SPAN)).until(END)
    [begun], [ended] = run.begun, run.ended
    assert (begun.cause, ended.cause, begun.outage) == (Cause.DNS, Cause.DNS, ended.outage)
    assert OUT <= second_of(begun.begin) <= OUT + RARELY
    assert second_of(begun.begin) - begun.begin_error_us / 1e6 <= OUT
    assert BACK <= second_of(ended.end) <= BACK + 2 * INTERVAL_S
    assert second_of(ended.end) - (ended.end_error_us or 0) / 1e6 <= BACK
    assert len(run.polled[Target.PEER]) < END / (1.7 * INTERVAL_S)


@pytest.mark.parametrize("section", ["access", "beyond", "gateway", "carrier"])
def test_a_resolver_beyond_a_line_that_is_out_is_no_second_outage(section: str) -> None:
    run = Run(World(**{section: SPAN})).until(END)
    assert Cause.DNS not in {one.cause for one in run.begun}
    assert len(run.begun) == 1


def test_without_any_address_nobody_is_asked_and_only_the_resolver_is_out() -> None:
    rules = fresh_rules()
    for target in (Target.GATEWAY, Target.FIRST_HOP, Target.PEER, Target.BROKER):
        rules.targets[target].known = True
    run = Run(World(resolver=during((0, 500)), unknown_addresses=True), rules=rules).until(400)
    [begun] = run.begun
    assert begun.cause is Cause.DNS
    assert who(begun) == {"gateway": True, "first_hop": None, "peer": None, "broker": None, "collector": None}
    assert set(begun.unasked) == {"first-hop", "peer", "broker"}


@pytest.mark.parametrize("out", [{"carrier": SPAN}, {"gateway": SPAN}])
def test_without_any_address_a_site_that_is_cut_off_blames_no_resolver(
    out: dict[str, Callable[[float], bool]],
) -> None:
    run = Run(World(**out, resolver=SPAN, unknown_addresses=True)).until(BACK)
    assert run.begun == []


def test_a_peer_on_the_local_network_without_address_blames_the_resolver() -> None:
    out = World(resolver=SPAN, unknown_addresses=True, kind=EgressKind.DIRECT)
    assert [one.cause for one in Run(out).until(BACK).begun] == [Cause.DNS]
