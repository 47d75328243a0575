"""Batches that are rejected whole: the good records arrive, the bad ones are named."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outbox.delivery.apart import ALONE_A_DAY, DAY_S, REJECTED_IN_A_ROW
from outbox.delivery.delivery import VERDICTS, Answer, answer_of
from outbox.rows import State
from tests.outbox.delivery.sites import MALFORMED, Site, everything, named, poisoned, whole
from wire.messages.envelope import Reason, ReceiptStatus

HOUR_S = 3600.0


def test_every_answer_to_every_batch_has_a_fate() -> None:
    rejected = [answer for answer in Answer if answer is not Answer.NAMED]
    assert list(VERDICTS) == rejected
    assert {answer_of(whole(reason)) for reason in Reason} == set(rejected)
    assert answer_of(named(ReceiptStatus.REJECTED, 1, 1, Reason.INVALID)) is Answer.NAMED


def test_the_senders_own_decoder_names_the_bad_record_and_the_rest_arrives_at_once() -> None:
    site = Site()
    site.broken = {7, 30}
    site.measure(100).until(120)
    assert site.are(State.REJECTED) == {7, 30}
    assert site.are(State.COMMITTED) == set(range(1, 101)) - {7, 30}
    assert [(one.seq, one.fault) for one in site.rejections] == [(30, MALFORMED), (7, MALFORMED)]
    assert [len(seqs) for _, seqs in site.sent] == [100, 98]


def test_what_the_own_decoder_accepts_is_sent_alone_until_the_bad_record_is_named() -> None:
    site = Site(poisoned(5)).measure(20).until(HOUR_S)
    assert site.are(State.REJECTED) == {5}
    assert site.are(State.COMMITTED) == set(range(1, 21)) - {5}
    assert [one.seq for one in site.rejections] == [5]
    assert len(site.alone) == 20


def test_a_batch_that_is_too_large_is_split_in_two_until_it_is_not() -> None:
    site = Site(lambda batch: Reason.TOO_LARGE if len(batch) > 30 else None).measure(100).until(HOUR_S)
    assert site.are(State.COMMITTED) == set(range(1, 101))
    assert sorted(len(seqs) for _, seqs in site.sent)[:4] == [25, 25, 25, 25]
    assert not site.alone
    site.rejects = everything(Reason.TOO_LARGE)
    site.measure(1).until(2 * HOUR_S)
    assert [one.seq for one in site.rejections] == [101]


def test_new_rows_are_not_held_up_meanwhile() -> None:
    site = Site(poisoned(50)).measure(100)
    for minute in range(1, 30):
        site.until(60.0 * minute).measure(1)
    site.until(60.0 * 30)
    assert set(range(101, 130)) <= site.are(State.COMMITTED)


@pytest.mark.parametrize("reason", [Reason.MALFORMED, Reason.INVALID])
def test_a_collector_that_rejects_everything_gets_each_row_once_a_day_and_three_alone(reason: Reason) -> None:
    site = Site(everything(reason))
    for minute in range(300):
        site.measure(1).until(60.0 * (minute + 1))
    site.until(DAY_S - 1)
    assert len(site.sent) <= 310
    assert len(site.alone) <= REJECTED_IN_A_ROW
    assert site.are(State.WAITING) == set()
    first_day = len(site.sent)
    site.until(2 * DAY_S - 1)
    assert len(site.sent) - first_day <= 3 + REJECTED_IN_A_ROW
    site.rejects = poisoned()
    site.until(2 * DAY_S + HOUR_S)
    assert site.are(State.COMMITTED) == set(range(1, 301))


def test_no_more_than_a_hundred_a_day_are_sent_alone() -> None:
    site = Site(poisoned(10, 150, 210, 390)).measure(400)
    for minute in range(1, 1440):
        site.until(60.0 * minute).measure(1)
    assert len(site.alone) == ALONE_A_DAY
    site.until(4 * DAY_S)
    assert site.are(State.REJECTED) == {10, 150, 210, 390}
    assert site.are(State.WAITING) == set()
    alone = [sum(day * DAY_S <= at < (day + 1) * DAY_S for at in site.alone) for day in range(4)]
    assert max(alone) <= ALONE_A_DAY


def test_bad_records_cannot_keep_a_good_one_waiting_for_ever() -> None:
    site = Site(poisoned(*range(2, 160))).measure(159)
    for day in range(20):
        for _ in range(120):  # what is measured meanwhile arrives
            site.measure(1).until(site.now + 60)
        if site.states[1] is State.COMMITTED:
            break
        site.until((day + 1) * DAY_S)
    assert site.states[1] is State.COMMITTED


@pytest.mark.parametrize("reason", [Reason.NEWER_SCHEMA, Reason.WRONG_SENDER])
def test_what_no_record_can_help_is_kept_and_tried_daily(reason: Reason) -> None:
    site = Site(everything(reason)).measure(250).until(DAY_S - 1)
    assert site.are(State.REJECTED) == set(range(1, 251))
    assert not site.alone
    assert len(site.sent) == 3
    site.rejects = poisoned()
    site.until(DAY_S + HOUR_S)
    assert site.are(State.COMMITTED) == set(range(1, 251))


def test_a_full_ledger_rejects_nobody() -> None:
    site = Site(everything(Reason.STORAGE)).measure(250).until(DAY_S / 2)
    assert site.are(State.WAITING) == set(range(1, 251))
    assert len(site.sent) < 12 * 3600 / 300
    site.rejects = poisoned()
    site.until(DAY_S - 1)
    assert site.are(State.COMMITTED) == set(range(1, 251))


def test_records_rejected_one_by_one_wait_for_the_next_day() -> None:
    site = Site()
    site.by_line = {3}
    site.measure(9).until(DAY_S - 1)
    assert (site.are(State.REJECTED), len(site.sent), site.alone) == ({3}, 1, [])
    site.by_line = ()
    site.until(DAY_S + HOUR_S)
    assert site.are(State.COMMITTED) == set(range(1, 10))


def test_the_search_outlives_receipts_that_are_late_or_lost() -> None:
    site = Site(poisoned(5)).measure(20)
    site.late_s = 75.0  # longer than a batch is in flight
    site.until(6 * HOUR_S)
    assert (site.are(State.REJECTED), site.are(State.WAITING)) == ({5}, set())
    site.answers = False
    site.measure(30).until(8 * HOUR_S)
    site.answers, site.late_s = True, 0.0
    site.until(9 * HOUR_S)
    assert site.are(State.WAITING) == set()


def test_a_restart_forgets_who_was_apart_and_finds_it_again() -> None:
    site = Site(poisoned(5)).measure(20).until(200)
    assert 0 < len(site.alone) < 20
    site.start().until(site.now + HOUR_S)
    assert (site.are(State.REJECTED), site.are(State.WAITING)) == ({5}, set())


@settings(max_examples=20)
@given(st.data())
def test_whatever_is_bad_every_good_record_arrives(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 120))
    seqs = st.integers(1, count)
    site = Site(poisoned(*data.draw(st.sets(seqs, max_size=3))))
    site.broken = data.draw(st.sets(seqs, max_size=3))
    site.by_line = data.draw(st.sets(seqs, max_size=3))
    site.late_s = data.draw(st.sampled_from([0.0, 20.0]))
    site.measure(count).until(data.draw(st.floats(0, 4000)))
    if data.draw(st.booleans()):
        site.start()
    for _ in range(200):  # what is measured meanwhile arrives
        site.measure(1).until(site.now + 600)
    bad = {seq for seq in range(1, count + 1) if site.rejects([seq])} | set(site.broken) | set(site.by_line)
    assert set(range(1, count + 1)) - site.are(State.COMMITTED) == bad
