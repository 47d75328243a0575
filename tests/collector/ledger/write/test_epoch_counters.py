"""Counters of epochs, kept at each commit, beside a count of the rows."""

from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ledger.admin.verify import verify
from collector.ledger.write import epoch_counters as accounts_module
from collector.ledger.write.commit_result import MessageResult
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival, CommandReport
from tests.collector.examples import EPOCH, NOW_US, SITE, arrival, payload, stamp, stamp_values
from tests.collector.ledger.filled import batch, commit, gap, query
from wire.messages.envelope import EpochMark, EpochRange, GapReason

BEFORE, EARLIER = "a" * 16, "b" * 16


def accounts(path: Path) -> dict[str, tuple[int, int, int, int]]:
    """By epoch: high water, committed, declared, in conflict."""
    statement = "SELECT epoch, high_water, committed, declared, conflicts FROM epochs"
    return {epoch: (high, *counts) for epoch, high, *counts in query(path, statement)}


def declared(committed: MessageResult) -> list[tuple[int, int]]:
    assert committed.receipt is not None
    return [(one.first, one.last) for one in committed.receipt.declared]


def test_marks_only_rise_and_the_epoch_before_is_what_was_said_first(ledger: Ledger, path: Path) -> None:
    for high, previous in ((7, None), (9, BEFORE), (8, EARLIER)):
        mark = EpochMark(epoch=EPOCH, high_water=high, previous=previous, previous_last=previous and high)
        commit(ledger, batch(marks=(mark,)))
    assert query(path, "SELECT epoch, high_water, previous, previous_last FROM epochs ORDER BY key") == [
        (EPOCH, 9, BEFORE, 9),
        (BEFORE, 9, None, None),
        (EARLIER, 8, None, None),
    ]


def test_an_epoch_of_which_nothing_came_is_missing_whole(ledger: Ledger, path: Path) -> None:
    mark = EpochMark(epoch=EPOCH, high_water=1, previous=BEFORE, previous_last=40)
    commit(ledger, batch(1, marks=(mark,)))
    assert accounts(path) == {EPOCH: (1, 1, 0, 0), BEFORE: (40, 0, 0, 0)}


def test_what_came_without_a_mark_raises_it(ledger: Ledger, path: Path) -> None:
    commit(ledger, batch(3, 9))
    assert accounts(path) == {EPOCH: (9, 2, 0, 0)}


def test_each_is_counted_once(ledger: Ledger, path: Path) -> None:
    other = arrival(stamp(2, values=stamp_values(99_000)))
    commit(ledger, batch(1, 2), batch(2, 3), other)
    commit(ledger, batch(1), other, other, arrival(stamp(2, values=stamp_values(77_000))))
    assert accounts(path) == {EPOCH: (3, 3, 0, 2)}


def test_a_gap_is_kept_answered_and_counted(ledger: Ledger, path: Path) -> None:
    (committed,) = commit(ledger, batch(1, 5, gaps=(gap(2, 4),)))
    assert declared(committed) == [(2, 4)]
    assert accounts(path) == {EPOCH: (5, 2, 3, 0)}
    kept = "SELECT first, last, name, at_us, received_us FROM gaps JOIN names ON names.key = reason_key"
    assert query(path, kept) == [(2, 4, "dropped", NOW_US, NOW_US)]


def test_an_envelope_that_holds_gaps_alone_is_answered_as_well(ledger: Ledger, path: Path) -> None:
    (committed,) = commit(ledger, batch(gaps=(gap(1, 7), gap(2, 3, epoch=BEFORE))))
    assert committed.receipt is not None
    assert committed.receipt.reason is None
    assert committed.receipt.declared == (
        EpochRange(epoch=EPOCH, first=1, last=7),
        EpochRange(epoch=BEFORE, first=2, last=3),
    )
    assert accounts(path) == {EPOCH: (7, 0, 7, 0), BEFORE: (3, 0, 2, 0)}


def test_a_gap_that_is_declared_again_is_answered_again_and_counted_once(ledger: Ledger, path: Path) -> None:
    one = batch(gaps=(gap(2, 4),))
    for _ in range(2):
        assert [declared(committed) for committed in commit(ledger, one, one)] == [[(2, 4)], [(2, 4)]]
    assert accounts(path) == {EPOCH: (4, 0, 3, 0)}
    assert query(path, "SELECT count(*) FROM gaps") == [(1,)]


def test_what_overlaps_counts_once_under_the_reason_that_came_first(ledger: Ledger, path: Path) -> None:
    commit(ledger, batch(gaps=(gap(3, 5), gap(8, 9), gap(20, 20))))
    commit(ledger, batch(gaps=(gap(1, 10, GapReason.DAMAGED),)))
    assert accounts(path) == {EPOCH: (20, 0, 11, 0)}
    kept = "SELECT first, last, name FROM gaps JOIN names ON names.key = reason_key ORDER BY first"
    assert query(path, kept) == [
        (1, 2, "damaged"),
        (3, 5, "dropped"),
        (6, 7, "damaged"),
        (8, 9, "dropped"),
        (10, 10, "damaged"),
        (20, 20, "dropped"),
    ]


def test_what_comes_after_all_no_longer_counts_as_declared(ledger: Ledger, path: Path) -> None:
    commit(ledger, batch(gaps=(gap(2, 4), gap(8, 9))))
    (committed,) = commit(ledger, batch(3, 5, 9))
    assert [record.status for record in committed.records] == ["committed"] * 3
    assert accounts(path) == {EPOCH: (9, 3, 3, 0)}
    commit(ledger, batch(3, gaps=(gap(2, 4),)))
    assert accounts(path) == {EPOCH: (9, 3, 3, 0)}


def test_what_is_in_the_ledger_is_not_declared(ledger: Ledger, path: Path) -> None:
    commit(ledger, batch(1, 2), batch(3, gaps=(gap(1, 5),)))
    assert accounts(path) == {EPOCH: (5, 3, 2, 0)}


def test_a_gap_as_wide_as_a_number_can_be_is_but_a_range(ledger: Ledger, path: Path) -> None:
    far = 2**53
    commit(ledger, batch(5, gaps=(gap(1, far),)), batch(gaps=(gap(1, far), gap(2, far - 1))))
    assert accounts(path) == {EPOCH: (far, 1, far - 1, 0)}
    assert query(path, "SELECT count(*) FROM gaps") == [(1,)]


def test_a_gap_that_overlaps_too_many_takes_their_place(ledger: Ledger, path: Path) -> None:
    """Gaps at every other number, of which some came all the same; then a gap over nearly all of them."""
    size = 2 * accounts_module.MOST_OVERLAPPED + 4
    odd = [gap(seq, seq) for seq in range(1, size + 1, 2)]
    for start in range(0, len(odd), 64):
        commit(ledger, batch(gaps=tuple(odd[start : start + 64])))
    commit(ledger, batch(4, 5, 7))
    assert accounts(path) == {EPOCH: (size - 1, 3, len(odd) - 2, 0)}
    commit(ledger, batch(gaps=(gap(1, size + 10, GapReason.DAMAGED),)))
    assert accounts(path) == {EPOCH: (size + 10, 3, size + 10 - 3, 0)}
    assert query(path, "SELECT first, last FROM gaps") == [(1, size + 10)]
    assert verify(path, NOW_US, print).problems == []


def test_more_than_one_look_finds_come_after_all(ledger: Ledger, path: Path) -> None:
    size = accounts_module.MOST_OVERLAPPED + 200
    odd = [gap(seq, seq) for seq in range(1, 2 * size, 2)]
    for start in range(0, len(odd), 64):
        commit(ledger, batch(gaps=tuple(odd[start : start + 64])))
    commit(ledger, *(batch(*range(start, start + 400)) for start in range(1, 2 * size, 400)))
    assert accounts(path) == {EPOCH: (2 * size, 2 * size, 0, 0)}


def test_a_gap_that_ends_before_it_begins_tells_of_nothing(ledger: Ledger, path: Path) -> None:
    (committed,) = commit(ledger, batch(1, gaps=(gap(9, 3),)))
    assert declared(committed) == []
    assert accounts(path) == {EPOCH: (1, 1, 0, 0)}


def test_a_crash_before_the_commit_leaves_the_accounts_as_they_were(path: Path) -> None:
    armed = [False, True]

    def crash() -> None:
        if armed.pop():
            raise ZeroDivisionError

    ledger = Ledger(path, before_commit=crash)
    with pytest.raises(ZeroDivisionError):
        commit(ledger, batch(1, gaps=(gap(2, 3),)))
    commit(ledger, batch(1, gaps=(gap(2, 3),)))
    ledger.close()
    assert accounts(path) == {EPOCH: (3, 1, 2, 0)}


def test_who_spoke_and_what_it_obeyed_comes_along(ledger: Ledger) -> None:
    committed = commit(
        ledger, batch(1, obeyed="resend-1"), batch(), arrival(b"{}"), Arrival("?", b"", NOW_US)
    )
    assert [one.command_report for one in committed] == [
        CommandReport(SITE, "resend-1"),
        CommandReport(SITE, None),
        CommandReport(SITE, None),
        None,
    ]


SEQS = st.integers(1, 30)
MESSAGES = st.lists(
    st.tuples(st.lists(SEQS, max_size=4, unique=True), st.lists(st.tuples(SEQS, SEQS), max_size=3)),
    max_size=6,
)


@settings(max_examples=25)
@given(st.lists(MESSAGES, max_size=3), st.sampled_from([2, 1000]))
def test_the_accounts_are_what_counting_gives(
    tmp_path_factory: pytest.TempPathFactory,
    groups: list[list[tuple[list[int], list[tuple[int, int]]]]],
    most_overlapped: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts_module, "MOST_OVERLAPPED", most_overlapped)
        _count_both_ways(tmp_path_factory, groups)


def _count_both_ways(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[tuple[list[int], list[tuple[int, int]]]]]
) -> None:
    path = tmp_path_factory.mktemp("accounts") / "ledger.db"
    ledger = Ledger(path)
    committed: set[int] = set()
    lost: set[int] = set()
    for group in groups:
        commit(ledger, *(batch(*seqs, gaps=tuple(gap(*ends) for ends in gaps)) for seqs, gaps in group))
        committed |= {seq for seqs, _ in group for seq in seqs}
        lost |= {seq for _, gaps in group for first, last in gaps for seq in range(first, last + 1)}
    ledger.close()
    known = committed | lost
    expected = {EPOCH: (max(known), len(committed), len(lost - committed), 0)} if known else {}
    assert {epoch: found for epoch, found in accounts(path).items() if any(found)} == expected
    rows = query(path, "SELECT first, last FROM gaps ORDER BY first")
    assert all(before[1] < after[0] for before, after in pairwise(rows))


def test_another_sites_epoch_of_the_same_name_has_an_account_of_its_own(ledger: Ledger, path: Path) -> None:
    commit(ledger, batch(1, 2, gaps=(gap(3, 3),)), batch(1, site="other"))
    counts = "SELECT site_id, committed, declared FROM epochs e JOIN sites s ON s.key = e.site_key"
    assert query(path, f"{counts} ORDER BY site_id") == [(SITE, 2, 1), ("other", 1, 0)]


def test_a_refused_measurement_is_missing_until_it_is_taken(ledger: Ledger, path: Path) -> None:
    bad = msgspec.json.encode({"epoch": EPOCH, "seq": 2})
    mark = EpochMark(epoch=EPOCH, high_water=2)
    commit(ledger, Arrival(f"qos/v1/{SITE}/results", payload(stamp(1), bad, marks=(mark,)), NOW_US))
    assert accounts(path) == {EPOCH: (2, 1, 0, 0)}
