"""Outages out of the ledger: as live state has them, and of nothing that is older than asked for."""

import random
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from collector.ingest.decode import judge
from collector.ledger.keys import RowKeys
from collector.ledger.place import LedgerError
from collector.ledger.read import outages
from collector.ledger.schema.tables import boots
from collector.ledger.store import connect
from collector.ledger.transaction import LedgerTransaction
from collector.ledger.write.writer import Ledger
from collector.live.fleet import Fleet
from collector.model.inventory import Site
from collector.service.views import Views
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, SITE, arrival, clock, failed, outage, stamp
from wire.records import Cause, ClockReading, Measurement

BEGIN_US, END_US = NOW_US - 20 * MINUTE_US, NOW_US - 9 * MINUTE_US
DAY_US = 24 * HOUR_US


def ledger(directory: Path, *records: Measurement, fleet: Fleet | None = None) -> Path:
    path = directory / "ledger.db"
    made = Ledger(path)
    for record in records:
        for committed in made.commit([judge(arrival(record))]).messages:
            if fleet is not None:
                fleet.learn(committed.observations, NOW_US)
    made.close()
    return path


def test_the_ledger_gives_what_live_state_had(tmp_path: Path) -> None:
    inventory = {SITE: Site(SITE, "Lycée")}
    fleet, rebuilt = Fleet(inventory), Views(inventory)
    records = [
        outage(1, BEGIN_US, cause=Cause.UNKNOWN),
        outage(2, BEGIN_US, END_US),
        outage(3, END_US, cause=Cause.PEER, name="outage-2"),
        outage(4, NOW_US - 3 * DAY_US, NOW_US - 2 * DAY_US, name="outage-0"),
    ]
    path = ledger(tmp_path, *records, fleet=fleet)
    rebuilt.fleet.restore_outages(outages.outages(path, 0).outages)
    (live,), (again,) = fleet, rebuilt.fleet
    assert again.outages.known == live.outages.known
    assert set(live.outages.known) == {"outage-0", "outage-1", "outage-2"}
    assert again.counters.totals == {}
    assert [found.name for found in outages.outages(path, NOW_US - DAY_US).outages] == [
        "outage-1",
        "outage-2",
    ]


def test_a_claim_of_the_future_is_no_outage(tmp_path: Path) -> None:
    assert outages.outages(ledger(tmp_path, outage(1, NOW_US + DAY_US)), 0).outages == []


def test_when_an_outage_was_over_that_nobody_closed(tmp_path: Path) -> None:
    records = [
        stamp(1, BEGIN_US - MINUTE_US),
        outage(2, BEGIN_US),
        failed(3, BEGIN_US + MINUTE_US),
        stamp(4, END_US + MINUTE_US),
        msgspec.structs.replace(stamp(5, END_US), dscp=0),
        stamp(6, NOW_US),
    ]
    path = ledger(tmp_path, *records)
    (found,) = outages.outages(path, 0).outages
    assert outages.healthy_after(path, [found]) == {(SITE, "outage-1"): END_US}
    later = msgspec.structs.replace(outage(7, NOW_US, name="outage-9"))
    assert outages.healthy_after(ledger(tmp_path, later), outages.outages(path, NOW_US).outages) == {}


@pytest.mark.parametrize("seed", range(5))
def test_of_many_outages_that_nobody_closed_each_is_over_with_the_next_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(outages, "ASKED_AT_ONCE", 2)  # sites
    made, expected = Ledger(tmp_path / "ledger.db"), {}
    for site in ("A", "B", "C", "D", "E"):
        reported_us = sorted(chance.sample(range(NOW_US - HOUR_US, NOW_US), 12))
        what = [chance.choice((outage, stamp, failed)) for _ in reported_us]
        records = [
            outage(seq, at_us, name=f"o{seq}") if make is outage else make(seq, at_us)
            for seq, (at_us, make) in enumerate(zip(reported_us, what, strict=True), 1)
        ]
        made.commit([judge(arrival(*records, site=site))])
        healthy_us = [at_us for at_us, make in zip(reported_us, what, strict=True) if make is stamp]
        for seq, (at_us, make) in enumerate(zip(reported_us, what, strict=True), 1):
            later_us = [each for each in healthy_us if each > at_us]
            if make is outage and later_us:
                expected[site, f"o{seq}"] = min(later_us)
    made.close()
    found = outages.outages(tmp_path / "ledger.db", 0).outages
    assert outages.healthy_after(tmp_path / "ledger.db", found) == expected
    assert expected


def test_what_one_site_tells_stands_in_the_place_of_nobodys(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    made = Ledger(path)
    quiet = outage(1, NOW_US - 30 * DAY_US, start=clock(NOW_US - 30 * DAY_US, boot_id="boot-0"))
    made.commit([judge(arrival(quiet, site="quiet"))])
    many = [
        outage(seq, NOW_US - 10_000_000 + seq, name=f"o{seq}") for seq in range(1, outages.MOST_OF_SITE + 101)
    ]
    made.commit([judge(arrival(*many[at : at + 300], site="loud")) for at in range(0, len(many), 300)])
    made.close()
    found = outages.outages(path, NOW_US - 31 * DAY_US)
    assert [each.name for each in found.outages if each.site == "quiet"] == ["outage-1"]
    names = [each.name for each in found.outages if each.site == "loud"]
    assert (len(names), names[0]) == (outages.MOST_OF_SITE, "o101"), "the newest"
    assert found.complete_since == {"loud": NOW_US - 10_000_000 + 101}


def test_where_not_all_fits_each_site_has_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    made = Ledger(path)
    for site, count in (("A", 1), ("B", 4), ("C", 9)):
        told = [outage(seq, NOW_US - HOUR_US + seq, name=f"o{seq}") for seq in range(1, count + 1)]
        made.commit([judge(arrival(*told, site=site))])
    made.close()
    monkeypatch.setattr(outages, "MOST_IN_ALL", 8)
    found = outages.outages(path, 0)
    assert Counter(each.site for each in found.outages) == {"A": 1, "B": 3, "C": 3}
    assert set(found.complete_since) == {"B", "C"}
    monkeypatch.setattr(outages, "MOST_IN_ALL", 14)
    assert outages.outages(path, 0).complete_since == {}


@pytest.mark.parametrize(
    ("counts", "share"),
    [
        ((), 5),
        ((1, 2, 3), 5),
        ((1, 2, 9), 5),
        ((5, 5), 5),
        ((9, 9), 5),
        ((9, 9, 9), 3),
        ((1, 9, 9), 4),
        ((1, 1, 9, 9), 4),
        ((9,) * 20, 1),
    ],
)
def test_what_those_leave_who_have_little_is_the_others(counts: tuple[int, ...], share: int) -> None:
    assert outages.fair_share(counts, 5, 10) == share


def test_when_something_was_last_received(tmp_path: Path) -> None:
    path = ledger(tmp_path)
    assert outages.last_received_us(path) is None
    assert outages.last_received_us(ledger(tmp_path, stamp(1))) == NOW_US


def test_a_ledger_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"no ledger" * 200)
    for read in (lambda path: outages.outages(path, 0).outages, outages.last_received_us):
        with pytest.raises(LedgerError, match="this is no ledger: name another file"):
            read(tmp_path / "ledger.db")


def rebooted(begin_wall_us: int, boot_us: int) -> Measurement:
    """An outage that began in the boot before, whose clock was never set."""
    record = outage(1, BEGIN_US, END_US)
    begin = ClockReading(wall_us=begin_wall_us, boot_us=boot_us, boot_id="boot-0", synchronised=False)
    return msgspec.structs.replace(record, values=msgspec.structs.replace(record.values, begin=begin))


def test_an_outage_that_began_while_no_clock_was_set_has_no_date_until_more_is_known(tmp_path: Path) -> None:
    path = ledger(tmp_path, rebooted(1_000_000, 500))
    (found,) = outages.outages(path, 0).outages
    assert (found.dated, found.lasted_us, found.end_us) == (False, None, END_US)
    engine = connect(path, writing=True)
    with engine.begin() as connection:
        keys = RowKeys()
        transaction = LedgerTransaction(connection)
        known = {
            "site_key": keys.site(transaction, SITE),
            "boot_key": keys.name(transaction, "boot-0"),
            "offset_us": BEGIN_US - 500,
            "redated": False,
        }
        transaction.insert_one(boots, known)
        transaction.finish()
    engine.dispose()
    (found,) = outages.outages(path, 0).outages
    assert (found.dated, found.begin_us, found.lasted_us) == (True, BEGIN_US, END_US - BEGIN_US)
