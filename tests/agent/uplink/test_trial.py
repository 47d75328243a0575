"""What becomes of a batch that is refused whole: the good of it arrive, the one at fault is named."""

import random
from collections import deque
from collections.abc import Callable, Collection
from math import ceil, log2

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.journal.entries import Row, State
from agent.uplink.trial import DAY_S, LONE_REFUSALS, REFUSALS_A_DAY, Trial
from agent.uplink.window import BATCH_ROWS, Pace, Want, Window
from wire.messages.envelope import Reason, Receipt, ReceiptLine, ReceiptStatus

E = "00112233445566ff"
PACE = Pace(interval_s=60, backlog_interval_s=30, receipt_timeout_s=60)
HOUR_S = 3600.0
Refuses = Callable[[Collection[int]], Reason | None]


def poisoned(*seqs: int) -> Refuses:
    return lambda batch: Reason.MALFORMED if set(seqs) & set(batch) else None


def everything(reason: Reason = Reason.INVALID) -> Refuses:
    return lambda _: reason


def nothing(_: Collection[int]) -> None:
    return None


class Site:
    """A window over a journal by value, and a collector that refuses whole batches as told.

    ``chance`` draws where a start begins, None for the newest; ``late_s``: how long each receipt takes.
    ``sent``: when, and which measurements; ``by_line``: those that it rejects each by itself; ``unread``:
    those whose identity it cannot read, so that no line tells of them.
    """

    def __init__(self, refuses: Refuses = nothing, by_line: Collection[int] = ()) -> None:
        self.refuses, self.by_line = refuses, by_line
        self.unread: Collection[int] = ()
        self.states: dict[int, State] = {}
        self.now = 0.0
        self.sent: list[tuple[float, tuple[int, ...]]] = []
        self.trials: list[tuple[int, ...]] = []
        self.named: list[int] = []
        self.answers = True
        self.chance: random.Random | None = None
        self.late_s = 0.0
        self._coming: deque[tuple[float, Receipt]] = deque()
        self.start()

    def start(self) -> "Site":
        rejected = sorted(self.are(State.QUARANTINED))
        begin = self.chance.choice(rejected) if self.chance and rejected else 0
        self.window = Window(
            PACE, random.Random(1), newest=max(self.states, default=0), now=self.now, begin=begin
        )
        return self

    def measure(self, count: int) -> "Site":
        for _ in range(count):
            self.states[len(self.states) + 1] = State.UNSENT
            self.window.committed()
        return self

    def until(self, end: float, every_s: float = 0.0) -> "Site":
        """Let time pass; ``every_s``: between measurements, 0 for none."""
        measured = self.now
        while self.now < end:
            while self._coming and self._coming[0][0] <= self.now:
                self.hear(self._coming.popleft()[1])
            while (want := self.window.want(self.now)) is not None:
                self._send(want)
            wake = min(self.window.next_wake(self.now), measured + every_s if every_s else end)
            arrival = self._coming[0][0] if self._coming else end
            self.now = min(end, max(self.now + 0.01, min(wake, arrival)))
            if every_s and self.now >= measured + every_s:
                measured = self.now
                self.measure(1)
        return self

    def _send(self, want: Want) -> None:
        rows = [
            Row(seq, E, seq, b"x" * 100)
            for seq, state in sorted(self.states.items(), reverse=True)
            if state is (State.QUARANTINED if want.trial else State.UNSENT)
            and want.after < seq < want.before
            and seq not in want.skip
        ]
        chosen = self.window.choose(want, rows[: want.limit], self.now)
        if not chosen:
            return
        seqs, digest = tuple(row.seq for row in chosen), f"{len(self.sent):064x}"
        self.window.sent(digest, chosen, self.now)
        self.sent.append((self.now, seqs))
        if want.trial:
            self.trials.append(seqs)
        if self.answers and self.late_s:
            self._coming.append((self.now + self.late_s, self._answer(digest, seqs)))
        elif self.answers:
            self.hear(self._answer(digest, seqs))

    def _answer(self, digest: str, seqs: tuple[int, ...]) -> Receipt:
        reason = self.refuses(seqs)
        if reason is not None:
            return Receipt(schema=1, site="A", payload=digest, reason=reason)
        lines = tuple(self._line(seq) for seq in seqs if seq not in self.unread)
        if not lines:
            return Receipt(schema=1, site="A", payload=digest, reason=Reason.INVALID)
        return Receipt(schema=1, site="A", payload=digest, lines=lines)

    def _line(self, seq: int) -> ReceiptLine:
        status = ReceiptStatus.REJECTED if seq in self.by_line else ReceiptStatus.COMMITTED
        return ReceiptLine(epoch=E, first=seq, last=seq, status=status)

    def hear(self, receipt: Receipt) -> None:
        heard = self.window.receipt(receipt)
        for change in heard.changes:
            for seq in range(change.first, change.last + 1):
                if self.states[seq] in (State.UNSENT, State.QUARANTINED):  # as the journal does it
                    self.states[seq] = change.state
        if heard.culprit is not None:
            self.named.append(heard.culprit[1])

    def are(self, state: State) -> set[int]:
        return {seq for seq, one in self.states.items() if one is state}


def test_one_bad_measurement_holds_back_no_other_and_is_named() -> None:
    site = Site(poisoned(37)).measure(100).until(HOUR_S)
    assert site.are(State.QUARANTINED) == {37}
    assert len(site.are(State.MARKED)) == 99
    assert site.named == [37]
    assert len(site.sent) <= 2 + 2 * ceil(log2(100))


def test_one_that_no_line_tells_of_is_named_too() -> None:
    site = Site(poisoned(37))
    site.unread = (20, 40)
    site.measure(100).until(HOUR_S)
    assert site.are(State.QUARANTINED) == {20, 37, 40}
    assert sorted(site.named) == [20, 37, 40]


def test_it_is_tried_again_daily_behind_all_others_and_named_no_second_time() -> None:
    site = Site(poisoned(37)).measure(100).until(3.5 * DAY_S, every_s=600)
    assert site.are(State.QUARANTINED) == {37}
    assert site.trials[-3:] == [(37,)] * 3
    assert site.named == [37]


@settings(deadline=None, max_examples=60)
@example(count=100, bad={1, 2, 3, 4}, seed=0)
@example(count=100, bad={97, 98, 99, 100}, seed=0)
@given(count=st.integers(1, 350), bad=st.sets(st.integers(1, 350), max_size=8), seed=st.integers(0, 9))
def test_just_the_bad_ones_stay_and_the_number_of_messages_is_bounded(
    count: int, bad: set[int], seed: int
) -> None:
    bad = {seq for seq in bad if seq <= count}
    site = Site(poisoned(*bad))
    site.window = Window(PACE, random.Random(seed), newest=0, now=0.0)
    site.measure(count).until(DAY_S - 1, every_s=300)
    assert site.are(State.QUARANTINED) == bad
    assert sorted(site.named) == sorted(bad)
    assert len(site.trials) <= (len(bad) + 1) * (ceil(log2(BATCH_ROWS)) + 2) + len(bad) * 8


def test_what_was_refused_whole_is_halved_again_after_a_restart() -> None:
    site = Site(poisoned(7)).measure(100)
    site.answers = False
    site.until(1)
    digest = f"{0:064x}"
    site.hear(Receipt(schema=1, site="A", payload=digest, reason=Reason.MALFORMED))
    assert len(site.are(State.QUARANTINED)) == 100
    site.answers = True
    site.start().until(site.now + HOUR_S)
    assert site.are(State.QUARANTINED) == {7}
    assert site.named == [7]


def test_a_collector_that_refuses_everything_is_not_flooded() -> None:
    """In a day no more than a batch a minute, which it is sent anyway, and a few dozen besides."""
    site = Site(everything()).measure(100).until(DAY_S - 1, every_s=60)
    assert not site.are(State.MARKED)
    assert len(site.trials) <= 7 * LONE_REFUSALS
    assert len(site.named) <= LONE_REFUSALS
    live = len(site.sent) - len(site.trials)
    assert live <= 1442


def test_nor_where_it_has_much_to_be_tried_and_nothing_new_comes() -> None:
    site = Site(everything())
    site.states = dict.fromkeys(range(1, 5001), State.QUARANTINED)
    site.start().until(10 * DAY_S)
    assert len(site.sent) <= 11 * 7 * LONE_REFUSALS
    first = [when for when, _ in site.sent if when < DAY_S]
    assert len(first) <= 10
    assert first[-1] - first[0] > HOUR_S / 4
    assert len(site.named) <= 11 * LONE_REFUSALS


@pytest.mark.parametrize("reason", [Reason.INVALID, Reason.NEWER_SCHEMA])
def test_once_it_takes_something_all_that_it_refused_follows_within_the_hour(reason: Reason) -> None:
    site = Site(everything(reason)).measure(100).until(6 * HOUR_S, every_s=60)
    assert len(site.are(State.QUARANTINED)) > 400
    site.refuses = nothing
    site.until(7 * HOUR_S, every_s=60)
    assert site.are(State.QUARANTINED) <= set(site.named)
    site.until(DAY_S + HOUR_S, every_s=60)
    assert site.are(State.QUARANTINED) == set()


def test_another_reason_than_a_measurement_halves_nothing() -> None:
    site = Site(everything(Reason.WRONG_SITE)).measure(100).until(DAY_S - 1)
    assert [len(seqs) for seqs in (seqs for _, seqs in site.sent)] == [100]
    assert site.named == []


def test_a_ledger_that_is_full_is_tried_again_and_halves_nothing() -> None:
    site = Site(poisoned(5)).until(100).measure(100).until(101)
    site.refuses = everything(Reason.STORAGE)
    site.until(HOUR_S)
    assert {len(seqs) for seqs in site.trials[1:]} == {25}
    assert len(site.trials) > 10
    site.refuses = poisoned(5)
    site.until(2 * HOUR_S)
    assert site.are(State.QUARANTINED) == {5}


def test_what_is_rejected_each_by_itself_is_tried_in_whole_batches_and_not_without_end() -> None:
    site = Site(by_line=range(1, 20_001))
    site.states = dict.fromkeys(range(1, 20_001), State.QUARANTINED)
    site.start().until(DAY_S - 1)
    assert [len(seqs) for seqs in site.trials] == [BATCH_ROWS] * REFUSALS_A_DAY
    site.until(2 * DAY_S - 1)
    tried = {seq for seqs in site.trials for seq in seqs}
    assert tried == set(range(1, 20_001)), "the second day goes on where the first ended"
    assert site.named == []


def test_a_portion_without_a_receipt_is_tried_again() -> None:
    site = Site()
    site.states = dict.fromkeys(range(1, 11), State.QUARANTINED)
    site.start().answers = False
    site.until(300)
    assert len(site.trials) >= 2
    assert set(site.trials) == {tuple(range(10, 0, -1))}
    site.answers = True
    site.until(HOUR_S)
    assert len(site.are(State.MARKED)) == 10


def test_a_receipt_that_comes_late_counts_for_what_it_says() -> None:
    site = Site()
    site.states = dict.fromkeys(range(1, 11), State.QUARANTINED)
    site.start().answers = False
    site.until(50)
    assert len(site.trials) == 1
    site.hear(site._answer(f"{0:064x}", site.trials[0]))
    assert len(site.are(State.MARKED)) == 10
    site.hear(site._answer(f"{0:064x}", site.trials[0]))
    site.until(HOUR_S)
    assert len(site.trials) == 1


def test_backlog_and_trial_take_turns_and_are_together_no_faster_than_the_backlog() -> None:
    site = Site()
    site.states = dict.fromkeys(range(1, 2001), State.QUARANTINED) | dict.fromkeys(
        range(2001, 4001), State.UNSENT
    )
    site.start().until(600)
    assert len(site.sent) <= 600 / (PACE.backlog_interval_s * 0.75) + 1
    assert abs(len(site.sent) - 2 * len(site.trials)) <= 1
    site.until(2 * HOUR_S)
    assert len(site.are(State.MARKED)) == 4000


def test_what_the_collector_asks_again_for_does_not_stop_a_trial() -> None:
    site = Site()
    site.states = dict.fromkeys(range(1, 11), State.QUARANTINED)
    site.start().answers = False
    site.until(31)
    assert len(site.trials) == 1
    site.window.forget(site.now)
    site.answers = True
    site.until(HOUR_S)
    assert len(site.are(State.MARKED)) == 10


def test_nothing_in_quarantine_costs_no_message() -> None:
    trial = Trial(0.0)
    trial.look(0.0)
    assert trial.ready
    trial.portion(100)
    trial.chosen(())
    assert not trial.ready
    assert Site().until(3 * DAY_S).sent == []


@pytest.mark.parametrize("every_s", [0.0, 60.0])
@pytest.mark.parametrize("late_s", [58.0, 61.0, 65.0, 80.0, 100.0, 115.0, 200.0])
def test_receipts_that_all_come_late_do_not_end_the_search(late_s: float, every_s: float) -> None:
    site = Site(poisoned(37))
    site.late_s = late_s
    site.measure(100).until(6 * HOUR_S, every_s)
    assert {seq for seq in site.are(State.QUARANTINED) if seq <= 100} == {37}
    assert site.named == [37]


@pytest.mark.parametrize("number", range(8))
def test_nor_does_one_among_them(number: int) -> None:
    site = Site(poisoned(37))
    answer = site._answer

    def answering(digest: str, seqs: tuple[int, ...]) -> Receipt:
        site.late_s = 75.0 if len(site.sent) == number + 1 else 0.01
        return answer(digest, seqs)

    site.late_s = 0.01
    site._answer = answering  # type: ignore[method-assign]
    site.measure(100).until(HOUR_S)
    assert site.are(State.QUARANTINED) == {37}


def test_a_receipt_for_what_was_given_up_counts_though_it_was_not_sent_again() -> None:
    trial = Trial(0.0)
    trial.portion(100)
    trial.chosen([3, 2, 1])
    trial.lost()
    assert trial.ready
    assert trial.tries([3, 2, 1])
    trial.refused()
    assert trial.portion(100)[1] == 1


def test_what_could_not_be_read_is_tried_when_it_can() -> None:
    site = Site()
    site.states = dict.fromkeys(range(1, 11), State.QUARANTINED)
    window = site.start().window
    site.now = PACE.backlog_interval_s + 1
    asked = []
    while (want := window.want(site.now)) is not None:
        asked.append(want.trial)
        window.choose(want, [], site.now)  # as of a disk in trouble
    assert any(asked)
    window.released()
    site.until(HOUR_S)
    assert len(site.are(State.MARKED)) == 10


def test_bad_neighbours_cost_a_refusal_each_and_no_halving() -> None:
    bad = set(range(21, 61))
    site = Site(poisoned(*bad)).measure(100).until(DAY_S - 1, every_s=300)
    assert site.are(State.QUARANTINED) == bad
    refused = [seqs for seqs in site.trials if bad & set(seqs)]
    assert len(refused) <= len(bad) + 2 * ceil(log2(BATCH_ROWS))


@pytest.mark.parametrize("seed", range(5))
def test_an_agent_that_is_restarted_daily_comes_past_many_that_are_bad(seed: int) -> None:
    bad = set(range(2, 160))
    site = Site(poisoned(*bad))
    site.chance = random.Random(seed)
    site.states = dict.fromkeys(range(1, 160), State.QUARANTINED)
    for day in range(1, 31):
        site.start().until(day * DAY_S, every_s=HOUR_S)
        if 1 in site.are(State.MARKED):
            break
    assert 1 in site.are(State.MARKED)


def test_it_begins_where_it_is_told_and_goes_round() -> None:
    site = Site(by_line=range(1, 301))
    site.states = dict.fromkeys(range(1, 301), State.QUARANTINED)
    site.window = Window(PACE, random.Random(1), newest=300, now=0.0, begin=150)
    site.until(DAY_S - 1)
    assert [(seqs[0], seqs[-1]) for seqs in site.trials] == [(150, 51), (50, 1), (300, 201), (200, 151)]
