"""Completeness: records that the ledger has and lacks, and the time from which they are missing."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from collector.ingest.decode import judge
from collector.ledger.admin.verify import verify
from collector.ledger.place import LedgerError
from collector.ledger.read import completeness as holdings
from collector.ledger.store import connect
from collector.ledger.write.writer import Ledger
from collector.model.completeness import MISSING_AFTER_US, EpochCompleteness, MissingRun, SiteCompleteness
from collector.model.message import Arrival
from tests.collector.examples import EPOCH, HOUR_US, MINUTE_US, NOW_US, SITE, payload, stamp, stamp_values
from wire.messages.envelope import EpochMark, Gap, GapReason

BEFORE, AFTER, BESIDE = "a" * 16, "b" * 16, "c" * 16
LATER_US = NOW_US + MISSING_AFTER_US


class Site:
    """One site's part: batches into a ledger, at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger(path)

    def send(
        self,
        *seqs: int,
        epoch: str = EPOCH,
        high: int = 0,
        previous: tuple[str, int] | None = None,
        gaps: tuple[Gap, ...] = (),
        site: str = SITE,
        at_us: int = NOW_US,
        rtt_us: int = 10_000,
    ) -> None:
        records = [
            msgspec.structs.replace(stamp(seq, NOW_US + seq * MINUTE_US, stamp_values(rtt_us)), epoch=epoch)
            for seq in seqs
        ]
        before, last = previous or (None, None)
        mark = EpochMark(epoch=epoch, high_water=high, previous=before, previous_last=last)
        body = payload(*records, site=site, marks=(mark,), gaps=gaps)
        self.ledger.commit([judge(Arrival(f"qos/v1/{site}/results", body, at_us))])

    def held(self, now_us: int = LATER_US, site: str = SITE) -> SiteCompleteness:
        return {one.site_id: one for one in holdings.of_sites(self.path, now_us)}[site]

    def epochs(self) -> tuple[EpochCompleteness, ...]:
        found = holdings.of_site(self.path, SITE, LATER_US)
        assert found is not None
        return found.epochs

    def figures(self, now_us: int = LATER_US) -> tuple[int, int, int]:
        held = self.held(now_us)
        return held.committed, held.missing, held.pending


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    opened = Site(tmp_path / "ledger.db")
    yield opened
    opened.ledger.close()


def gap(first: int, last: int, reason: GapReason = GapReason.DROPPED) -> Gap:
    return Gap(epoch=EPOCH, first=first, last=last, reason=reason, at_us=NOW_US)


def test_a_whole_site_lacks_nothing(site: Site) -> None:
    site.send(1, 2, 3, high=3)
    assert site.held() == SiteCompleteness(SITE, 3)
    assert site.held().is_complete


def test_a_hole_is_missing_once_what_came_after_it_has_been_there_for_an_hour(site: Site) -> None:
    site.send(1, 2, 5, high=5)
    assert site.figures(LATER_US - 1) == (3, 0, 2)
    assert site.figures(LATER_US) == (3, 2, 0)


def test_a_hole_is_not_missing_because_it_is_old_itself(site: Site) -> None:
    """After an outage the newest comes first: what the backlog still holds is under way for an hour."""
    site.send(1, 2, high=2)
    site.send(90, 91, high=91, at_us=NOW_US + 1)
    assert site.figures(LATER_US) == (4, 0, 87)
    assert site.figures(LATER_US + 1) == (4, 87, 0)
    site.send(*range(3, 90), high=91, at_us=LATER_US + 1)
    assert site.figures(LATER_US + 1) == (91, 0, 0)


def test_both_kinds_stand_beside_each_other(site: Site) -> None:
    site.send(1, 3, high=3)
    site.send(6, 8, high=9, at_us=NOW_US + 10)
    assert site.figures(LATER_US) == (4, 1, 4)


def test_the_tail_of_an_epoch_is_pending_until_the_next_epoch_has_aged(site: Site) -> None:
    site.send(1, 2, high=6)
    assert site.figures() == (2, 0, 4)
    site.send(1, epoch=AFTER, high=1, previous=(EPOCH, 8), at_us=NOW_US + 10)
    assert site.figures(LATER_US + 9) == (3, 0, 6)
    assert site.figures(LATER_US + 10) == (3, 6, 0)


def test_epochs_that_are_lost_one_after_the_other_are_missing_whole(site: Site) -> None:
    site.send(epoch=BESIDE, high=4, previous=(BEFORE, 7))
    site.send(1, epoch=AFTER, high=1, previous=(BESIDE, 5))
    assert site.figures() == (1, 12, 0)


def test_what_was_declared_is_told_by_its_reason_and_is_not_missing(site: Site) -> None:
    site.send(1, 9, high=9, gaps=(gap(2, 4), gap(6, 6, GapReason.DAMAGED)))
    assert site.held().declared == {"dropped": 3, "damaged": 1}
    assert site.figures() == (2, 3, 0)
    site.send(3, 6)
    assert site.held().declared == {"dropped": 2}


def test_what_was_declared_beyond_what_came_is_not_under_way(site: Site) -> None:
    site.send(1, 4, high=9, gaps=(gap(3, 7),))
    assert site.figures() == (2, 1, 2)


def test_a_gap_without_end_misses_nothing(site: Site) -> None:
    site.send(1, high=2**53, gaps=(gap(1, 2**53),))
    assert site.figures() == (1, 0, 0)
    assert site.held().declared == {"dropped": 2**53 - 1}


def test_another_content_is_a_conflict(site: Site) -> None:
    site.send(1, 2, high=2)
    site.send(1, 2, high=2, rtt_us=77_000)
    assert (site.held().conflicts, site.held().committed, site.held().is_complete) == (2, 2, False)


def test_two_epochs_that_continue_the_same_are_a_fork(site: Site) -> None:
    site.send(1, high=1)
    site.send(1, epoch=AFTER, high=1, previous=(EPOCH, 1))
    assert site.held().forks == 0
    site.send(1, epoch=BESIDE, high=1, previous=(EPOCH, 1))
    assert (site.held().forks, site.held().is_complete) == (1, False)
    site.send(1, epoch="d" * 16, high=1, previous=(EPOCH, 1), site="other")
    assert site.held(site="other").forks == 0


def test_an_epoch_that_goes_on_after_another_continued_it_is_a_fork(site: Site) -> None:
    """A cloned card, whose original does not start anew."""
    site.send(1, 2, high=2)
    site.send(1, epoch=AFTER, high=1, previous=(EPOCH, 2))
    assert site.held().forks == 0
    site.send(3, high=3)
    assert site.held().forks == 1
    assert {one.epoch: (one.forks, one.is_behind) for one in site.epochs()} == {
        EPOCH: (0, False),
        AFTER: (0, True),
    }
    site.send(1, epoch=BESIDE, high=1, previous=(EPOCH, 3))  # and once it does, it is still one
    assert site.held().forks == 1


def test_from_where_an_epoch_continues_has_to_be_told_to_be_behind(site: Site) -> None:
    """List and page of the site say the same."""
    site.send(1, 2, high=2)
    mark = EpochMark(epoch=AFTER, high_water=1, previous=EPOCH)
    site.ledger.commit([judge(Arrival(f"qos/v1/{SITE}/results", payload(marks=(mark,)), NOW_US))])
    assert site.held().forks == sum(one.is_behind for one in site.epochs()) == 0


def test_sites_do_not_mix(site: Site) -> None:
    site.send(1, 3, high=3)
    site.send(1, 2, high=2, site="other")
    assert site.held(site="other") == SiteCompleteness("other", 2)


def test_epochs_are_told_with_their_runs_and_the_times_around_them(site: Site) -> None:
    site.send(2, 5, 6, high=9, previous=(BEFORE, 3), gaps=(gap(8, 8),))
    found = holdings.of_site(site.path, SITE, LATER_US)
    assert found is not None
    assert (found.total, [one.epoch for one in found.epochs]) == (2, [BEFORE, EPOCH])
    lost, own = found.epochs
    assert (lost.committed, lost.missing, lost.runs) == (0, 3, (MissingRun(1, 3, None, None),))
    assert (own.missing, own.pending, own.declared) == (3, 2, 1)
    at = {seq: NOW_US + seq * MINUTE_US for seq in (2, 5, 6)}
    assert (own.begin_us, own.end_us) == (at[2], at[6])
    runs = (
        MissingRun(1, 1, None, at[2]),
        MissingRun(3, 4, at[2], at[5]),
        MissingRun(7, 7, at[6], None),
        MissingRun(9, 9, at[6], None),
    )
    assert own.runs == runs
    assert holdings.of_site(site.path, "other", LATER_US) is None


def test_lists_are_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdings, "MAX_EPOCHS", 3)
    monkeypatch.setattr(holdings, "MAX_SEARCHED", 1)
    monkeypatch.setattr(holdings, "MAX_RUNS", 2)
    for epoch in ("1", "2", "3", "4"):
        site.send(2, 4, 6, epoch=epoch * 16, high=6)
    found = holdings.of_site(site.path, SITE, LATER_US)
    assert found is not None
    assert found.total == 4
    assert [(len(one.runs), one.more_runs) for one in found.epochs] == [(2, True), (0, True), (0, True)]


def test_the_last_that_had_come_is_found_by_halving(site: Site) -> None:
    for number in range(1, 12):
        site.send(number, at_us=NOW_US + number * MINUTE_US)
    engine = connect(site.path, writing=False)
    with engine.begin() as connection:
        found = [
            holdings.key_before(connection, NOW_US + minutes * MINUTE_US) for minutes in (0, 1, 6, 11, 99)
        ]
        assert found == [0, 1, 6, 11, 11]
    engine.dispose()


@pytest.mark.parametrize("wrong_us", [8 * 24 * HOUR_US, -8 * 24 * HOUR_US, 3650 * 24 * HOUR_US])
@pytest.mark.parametrize("of", [1, 4, 7])
def test_arrivals_need_not_be_in_the_order_of_time(site: Site, wrong_us: int, of: int) -> None:
    """The collector's clock was wrong when one batch arrived, and its machine started again since."""
    for number in range(1, 8):
        at_us = NOW_US + number * 20 * MINUTE_US
        site.send(2 * number, at_us=at_us + wrong_us if number == of else at_us)
    counted = holdings.of_sites(site.path, NOW_US + 24 * HOUR_US)
    assert [(one.missing, one.pending) for one in counted] == [(7, 0)]
    engine = connect(site.path, writing=False)
    with engine.begin() as connection:
        # The last three arrived within the hour; of a wrong one, only its place tells that.
        assert holdings.key_before(connection, NOW_US + 85 * MINUTE_US) == 4
    engine.dispose()


def test_what_lacks_is_searched_along_the_index(site: Site) -> None:
    """Only rows of the last hour may be read of an epoch of months."""
    engine = connect(site.path, writing=False)
    with engine.begin() as connection:
        plan = connection.exec_driver_sql(
            f"EXPLAIN QUERY PLAN {holdings._OF_LACKING_SITES.text}", {"newest": 1}
        ).all()
    engine.dispose()
    told = [row[-1] for row in plan]
    assert not [line for line in told if line.startswith("SCAN m") or "INTEGER PRIMARY KEY" in line], told


def test_a_ledger_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(LedgerError, match="not a database"):
        holdings.of_sites(path, NOW_US)


def test_what_one_site_writes_of_its_epochs_takes_nobody_the_figures(site: Site) -> None:
    """1,100 epochs as long as numbers go, or gaps as wide, add up to more than 64 bits hold."""
    site.send(1, 2, 3, high=3, site="sound")
    highest = 2**53
    for start in range(0, 1100, 50):
        epochs = [f"{number:016x}" for number in range(start, start + 50)]
        marks = tuple(EpochMark(epoch=epoch, high_water=highest) for epoch in epochs)
        gaps = tuple(msgspec.structs.replace(gap(1, highest), epoch=f"f{epoch[1:]}") for epoch in epochs)
        body = payload(marks=marks, gaps=gaps)
        site.ledger.commit([judge(Arrival(f"qos/v1/{SITE}/results", body, NOW_US))])
    assert site.held(site="sound") == SiteCompleteness("sound", 3)
    held = site.held()
    assert held.missing + held.pending == 1100 * highest
    assert held.declared == {"dropped": 1100 * highest}
    assert verify(site.path, LATER_US, lambda _: None).problems == []
