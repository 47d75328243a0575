from pathlib import Path

import msgspec
import pytest

from collector.ingest.decode import judge
from collector.ledger.read import latest as reading
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from tests.collector.examples import (
    EPOCH,
    HOUR_US,
    NOW_US,
    SITE,
    arrival,
    capacity,
    failed,
    floor,
    floor_values,
    payload,
    peer_arrival,
    peer_test,
)
from tests.collector.ledger.filled import commit, query
from wire.messages import envelope as messages
from wire.messages.envelope import Gap, GapReason, Reason, ReceiptStatus
from wire.messages.peer_tests import TestKind
from wire.records import Direction, Verdict

AGREED = ComparedTest("pop-1", SITE, Direction.DOWN, NOW_US, ComparisonResult.AGREE, 0.0)
OURS, THEIRS = arrival(floor(1)), peer_arrival(peer_test())


def compared(ledger: Ledger, *arrivals: Arrival) -> list[ComparedTest]:
    return list(ledger.commit([judge(one) for one in arrivals]).compared)


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["agent first", "peer first"])
@pytest.mark.parametrize("together", [True, False])
def test_both_records_are_compared_whichever_comes_first(
    ledger: Ledger, path: Path, order: tuple[Arrival, Arrival], together: bool
) -> None:
    if together:
        found = compared(ledger, *order)
    else:
        assert compared(ledger, order[0]) == []
        found = compared(ledger, order[1])
    assert found == [AGREED]
    assert query(path, "SELECT session, ordinal, result, difference FROM peer_comparisons") == [
        ("3c9d1f20-1", 0, "agree", 0.0)
    ]


def test_a_peer_that_reports_otherwise_disagrees_and_it_is_remembered(ledger: Ledger, path: Path) -> None:
    (found,) = compared(ledger, OURS, peer_arrival(peer_test(sent_packets=2666)))
    assert (found.result, found.difference, found.site) == (ComparisonResult.DISAGREE, 0.5, SITE)
    known = reading.peer_comparisons(path)
    assert known.disagreements == [found]
    assert known.newest_tests == {"pop-1": NOW_US}


def test_the_peers_evidence_stands_in_typed_columns(ledger: Ledger, path: Path) -> None:
    commit(ledger, peer_arrival(peer_test(row=8, planned_bps=8e6, lost_packets=3), received_us=NOW_US + 9))
    columns = (
        "p.name, session, direction, start_us, received_us, k.name, o.name, row, sent_bytes, lost_packets"
    )
    words = (
        "JOIN names p ON p.key = peer_key JOIN names k ON k.key = kind_key "
        "JOIN names o ON o.key = outcome_key"
    )
    assert query(path, f"SELECT {columns} FROM peer_tests {words}") == [
        ("pop-1", "3c9d1f20-1", "down", NOW_US, NOW_US + 9, "fixed", "completed", 8, 2_000_000, 3)
    ]


def test_every_test_of_a_verdict_is_compared_by_its_own_session(ledger: Ledger) -> None:
    base = floor_values(Verdict.FAIL, 6.4e6, 6.5e6)
    tests = tuple(msgspec.structs.replace(base.tests[0], session=f"s-{n}") for n in range(3))
    commit(ledger, arrival(floor(1, values=msgspec.structs.replace(base, tests=tests))))
    told = peer_arrival(peer_test(session="s-0"), peer_test(session="s-2", seq=2, sent_packets=1))
    assert [one.result for one in compared(ledger, told)] == [
        ComparisonResult.AGREE,
        ComparisonResult.DISAGREE,
    ]


def test_a_search_is_compared_by_its_rates(ledger: Ledger) -> None:
    commit(ledger, arrival(capacity(1)))
    told = {"session": "3c9d1f21-2", "kind": TestKind.SEARCH, "load_us": 10_000_000, "sent_packets": 18_000}
    theirs = peer_test(**told, sent_bytes=round(19.8e6 * 0.91 * 10 / 8))
    (agreed,) = compared(ledger, peer_arrival(theirs))
    assert agreed.result is ComparisonResult.AGREE


@pytest.mark.parametrize(
    ("share", "result"), [(1.0, ComparisonResult.AGREE), (0.5, ComparisonResult.DISAGREE)]
)
def test_of_a_load_that_the_agent_ended_the_rate_sent_is_compared(
    ledger: Ledger, share: float, result: ComparisonResult
) -> None:
    """The agent judges the part after a pre-drain; the peer served the whole."""
    ours = floor(1)
    assert ours.values is not None
    load_us = 4_200_000
    sent = {"sent_packets": 9999, "sent_bytes": round(share * ours.values.tests[0].sent_bps * load_us / 8e6)}
    theirs = peer_test(outcome="stopped-by-client", received_packets=9, load_us=load_us, **sent)
    assert [one.result for one in compared(ledger, arrival(ours), peer_arrival(theirs))] == [result]


def test_of_a_load_whose_end_the_peer_missed_no_figure_is_compared(ledger: Ledger) -> None:
    """It sends on, slower, until its watchdog: at half the agent's rate over twice the time."""
    theirs = peer_test(outcome="watchdog", sent_packets=3293, sent_bytes=4_064_649, load_us=5_948_854)
    [one] = compared(ledger, arrival(floor(1)), peer_arrival(theirs))
    assert (one.result, one.difference) == (ComparisonResult.AGREE, None)


@pytest.mark.parametrize("changes", [{"direction": Direction.UP}, {"session": "other"}])
def test_another_test_is_not_compared(ledger: Ledger, changes: dict[str, object]) -> None:
    assert compared(ledger, OURS, peer_arrival(peer_test(**{"received_packets": 1} | changes))) == []


def test_another_peers_record_is_not_compared(ledger: Ledger) -> None:
    assert compared(ledger, OURS, peer_arrival(peer_test(), peer="pop-2")) == []


def test_a_lone_record_is_reported_as_such_and_a_late_one_corrects_it(ledger: Ledger, path: Path) -> None:
    commit(ledger, OURS, peer_arrival(peer_test(session="unheard-of", seq=9)))
    assert ledger.give_up_comparisons(NOW_US) == []
    alone = ledger.give_up_comparisons(NOW_US + 1)
    assert {(one.site, one.result) for one in alone} == {
        (SITE, ComparisonResult.AGENT_ONLY),
        (None, ComparisonResult.PEER_ONLY),
    }
    assert ledger.give_up_comparisons(NOW_US + HOUR_US) == []
    assert compared(ledger, THEIRS) == [AGREED]
    results = query(path, "SELECT session, result FROM peer_comparisons ORDER BY key")
    assert results == [("3c9d1f20-1", "agree"), ("unheard-of", "peer-only")]


def test_what_never_began_or_gave_no_figures_waits_for_nobody(ledger: Ledger, path: Path) -> None:
    unbegun = peer_arrival(peer_test(outcome="not-activated", sent_packets=0))
    commit(ledger, unbegun, arrival(failed(1), floor(2, values=None, outcome="failed", failure="no-answer")))
    assert query(path, "SELECT count(*) FROM peer_tests") == [(1,)]
    assert [
        row for row in query(path, "SELECT session FROM peer_comparisons") if row != ("3c9d1f20-1",)
    ] == []


def test_redelivery_is_harmless_and_another_content_is_kept(ledger: Ledger, path: Path) -> None:
    other = peer_arrival(peer_test(sent_packets=9))
    committed = commit(ledger, THEIRS, THEIRS, other)
    committed += commit(ledger, THEIRS, other)
    statuses = [found.receipt.lines[0].status.value for found in committed if found.receipt]
    assert statuses == ["committed", "committed", "conflict", "committed", "conflict"]
    assert {found.topic for found in committed} == {"qos/v1/peers/pop-1/receipts"}
    assert query(path, "SELECT sent_packets FROM peer_tests ORDER BY key") == [(1333,), (9,)]
    assert compared(ledger, OURS) == [AGREED]


def test_a_test_that_does_not_fit_is_refused_alone(ledger: Ledger, path: Path) -> None:
    bad = messages.encode(peer_test(seq=2)).replace(b'"key_id":1', b'"key_id":-1')
    (committed,) = commit(ledger, peer_arrival(peer_test(), bad))
    assert committed.peer_message is not None
    assert committed.peer_message.statuses == (ReceiptStatus.COMMITTED, ReceiptStatus.REJECTED)
    assert committed.rejected == (Reason.INVALID,)
    assert query(path, "SELECT topic, site_id FROM rejects") == [("qos/v1/peers/pop-1/tests", None)]


def test_a_session_that_a_site_reports_twice_keeps_the_first(ledger: Ledger, path: Path) -> None:
    again = floor(2, values=floor_values(Verdict.FAIL, 1e6))
    commit(ledger, OURS, arrival(again))
    assert query(path, "SELECT count(*) FROM peer_comparisons") == [(1,)]


def test_a_peer_long_silent_is_known_behind_many_tests_of_another(ledger: Ledger, path: Path) -> None:
    commit(ledger, peer_arrival(peer_test(), peer="quiet"))
    for start in range(0, 2500, 500):
        tests = [peer_test(NOW_US + HOUR_US, session=f"b-{n}") for n in range(start, start + 500)]
        commit(ledger, peer_arrival(*tests, peer="busy", received_us=NOW_US + HOUR_US))
    assert reading.peer_comparisons(path).newest_tests == {"quiet": NOW_US, "busy": NOW_US + HOUR_US}


def test_a_peer_whose_clock_is_ahead_has_no_newest_test(ledger: Ledger, path: Path) -> None:
    """Else nobody would be told of its silence before then; and the comparison would never be of today."""
    years_us = 10 * 365 * 24 * HOUR_US
    told, ours = peer_arrival(peer_test(NOW_US + years_us)), arrival(floor(1))
    (committed,) = commit(ledger, told)
    assert committed.peer_message is not None
    assert committed.peer_message.newest_us == NOW_US
    assert reading.peer_comparisons(path).newest_tests == {}
    (found,) = compared(ledger, ours)
    assert found.time_us == NOW_US


def test_what_a_peer_declares_lost_is_kept_once_and_named_in_its_receipt(ledger: Ledger, path: Path) -> None:
    gap = Gap(epoch=EPOCH, first=3, last=9, reason=GapReason.DROPPED, at_us=NOW_US)
    body = payload(peer_test(), site="pop-1", gaps=(gap,))
    for _ in range(2):
        (committed,) = commit(ledger, Arrival("qos/v1/peers/pop-1/tests", body, NOW_US))
        assert committed.receipt is not None
        assert [(one.first, one.last) for one in committed.receipt.declared] == [(3, 9)]
    assert query(path, "SELECT epoch, first, last FROM peer_gaps") == [(EPOCH, 3, 9)]


@pytest.mark.parametrize("peer_at", [0, 1, 2], ids=["peer first", "peer between", "peer last"])
def test_two_claims_on_one_test_stand_side_by_side_and_neither_is_compared(
    ledger: Ledger, path: Path, peer_at: int
) -> None:
    """A peer's record names a key, not a site; a session id may be stolen."""
    sent = [OURS, arrival(floor(1), site="thief")]
    sent.insert(peer_at, THEIRS)
    found = [one for each in sent for one in compared(ledger, each)]
    claims = {one.site for one in found if one.result is ComparisonResult.AMBIGUOUS}
    assert claims == {SITE, "thief"}
    rows = "SELECT s.site_id, result, difference FROM peer_comparisons c JOIN sites s ON s.key = c.site_key"
    assert sorted(query(path, rows)) == [(SITE, "ambiguous", None), ("thief", "ambiguous", None)]
    assert compared(ledger, arrival(floor(1), site="third"))[0].site == "third"
    assert ledger.give_up_comparisons(NOW_US + HOUR_US) == []
    assert reading.peer_comparisons(path).disagreements == []


def of_session(session: str) -> Arrival:
    values = floor_values()
    tests = tuple(msgspec.structs.replace(test, session=session) for test in values.tests)
    return arrival(floor(1, NOW_US, msgspec.structs.replace(values, tests=tests)))


@pytest.mark.parametrize(
    ("ours", "theirs", "is_joined"),
    [
        ("3c9d1f20-00a1-9c41", "3c9d1f20-00a1-9c41", True),
        ("3c9d1f20-00a1-9c41", "3c9d1f20-00a1-9c42", False),  # the same second and number by chance
        ("3c9d1f20-00a1", "3c9d1f20-00a1-9c41", True),  # an agent from before ports
        ("3c9d1f20-00a1-9c41", "3c9d1f20-00a1", True),  # a peer from before ports
        ("3c9d1f20-00a1-9c41", "3c9d1f20-00a2", False),
    ],
)
def test_ends_of_two_versions_are_joined_and_two_tests_of_a_second_are_not(
    ledger: Ledger, ours: str, theirs: str, is_joined: bool
) -> None:
    found = compared(ledger, of_session(ours), peer_arrival(peer_test(session=theirs)))
    assert bool(found) is is_joined
