"""Outages and incidents on the overview and on the page of outages."""

import asyncio
import re
from html import unescape
from pathlib import Path

import pytest
from msgspec import structs

from collector.incidents.correlation import Incident, Level, SiteCounts, SiteOutage, SitePlace, correlate
from collector.incidents.current import CurrentIncidents
from collector.incidents.history import MONTH_US, HistoryOutage, outage_history
from collector.ingest.decode import judge
from collector.ledger.write.writer import Ledger
from collector.metrics.families.incidents import render
from collector.model.inventory import Site
from collector.model.outages import Outage, newest_reports, outage_of
from collector.pages.outage_page import MOST_ROWS, OutagePages
from collector.pages.overview import OverviewFilter, overview
from collector.pages.overview_page import MOST_INCIDENTS, OverviewPages
from collector.pages.texts import Language
from collector.service.outage_history_cache import KEPT_US, OutageHistoryCache
from collector.service.views import Views
from tests.collector.examples import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    SITE,
    arrival,
    clock,
    failed,
    outage,
    seen,
    stamp,
)
from wire.records import Cause, ClockReading, Measurement

DAY_US = 24 * HOUR_US
BEGIN_US, END_US = NOW_US - 20 * MINUTE_US, NOW_US - 9 * MINUTE_US
TEN = [f"C{number}" for number in range(10)]


def words(text: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))).replace("\N{NO-BREAK SPACE}", " ")


def views(records: dict[str, list[Measurement]]) -> Views:
    made = Views({name: Site(name, f"Lycée {name}", departement="63", pop="Clermont-2") for name in records})
    made.render(records, NOW_US)
    for name, sent in records.items():
        made.learn([seen(record, order, site=name) for order, record in enumerate(sent)], NOW_US)
    taken = made.incidents.snapshot()
    made.incidents.show(made.incidents.render(correlate(*taken) if taken else []))
    return made


def page(made: Views, language: Language = Language.ENGLISH) -> str:
    found = overview(made.summaries, OverviewFilter())
    recent = made.incidents.recent(NOW_US)
    return words(
        OverviewPages(language)
        .overview(found, OverviewFilter(), (), NOW_US, recent, made.incidents.incident_of)
        .replace(" <", "<")
    )


@pytest.mark.parametrize(("records", "english", "french"), [
    ([stamp(1, BEGIN_US - 1), outage(2, BEGIN_US)], "outage since 23:13 UTC: access line",
     "coupure depuis 23:13 UTC : ligne d'accès"),
    ([outage(2, BEGIN_US, END_US, Cause.SITE), stamp(3)],
     "outage from 23:13 UTC to 23:24 UTC: power or local network",
     "coupure de 23:13 UTC à 23:24 UTC : électricité ou réseau local"),
    ([stamp(1, BEGIN_US)], "silent since 23:13 UTC: the cause may be site, line or agent",
     "muet depuis 23:13 UTC : la cause peut être le site, la ligne ou l'agent"),
])  # fmt: skip
def test_begin_and_cause_of_an_outage_are_on_the_overview(
    records: list[Measurement], english: str, french: str
) -> None:
    made = views({"A": records})
    assert english in page(made)
    assert french in page(made, Language.FRENCH)
    assert "Incidents" not in page(made)


def test_an_outage_of_yesterday_is_not_on_the_overview() -> None:
    text = page(views({"A": [outage(2, BEGIN_US - DAY_US, END_US - DAY_US), stamp(3)]}))
    assert "outage from" not in text


def test_an_incident_is_above_the_sites_and_each_of_its_sites_names_it() -> None:
    made = views({name: [stamp(1, BEGIN_US)] for name in TEN} | {"R": [stamp(1)]})
    made.incidents.show(made.incidents.render([incident(Level.POP, "Clermont-2", Cause.UNKNOWN)]))
    text = page(made)
    assert "POP Clermont-2: 10 sites unreachable since 23:13 UTC · cause not reported yet" in text
    assert text.index("POP Clermont-2: 10 sites") < text.index("All sites")
    assert text.count("part of: POP Clermont-2, 10 sites unreachable since 23:13 UTC") == 10
    assert "silent since" not in text
    french = page(made, Language.FRENCH)
    assert "POP Clermont-2 : 10 sites injoignables depuis 23:13 UTC · cause pas encore signalée" in french
    assert "fait partie de : POP Clermont-2, 10 sites injoignables" in french


def incident(level: Level, place: str, cause: Cause, back: int = 0, **more: object) -> Incident:
    outages = tuple(
        SiteOutage(name, SitePlace(), BEGIN_US, 0, END_US if number < back else None, cause, **more)  # type: ignore[arg-type]
        for number, name in enumerate(TEN)
    )
    return Incident(level, place, cause, outages)


@pytest.mark.parametrize(("shown", "english"), [
    (incident(Level.POP, "A", Cause.ACCESS, back=4),
     "POP A: 6 of 10 sites still unreachable, since 23:13 UTC · access line"),
    (incident(Level.DEPARTEMENT, "63", Cause.BEYOND, back=10),
     "Département 63: 10 sites unreachable from 23:13 UTC to 23:24 UTC · beyond the access line"),
    (incident(Level.PEER, "pop-1", Cause.PEER, unanswered=True),
     "Peer pop-1: answers none of its 10 sites since 23:13 UTC · measurement peer"),
    (incident(Level.FLEET, "", Cause.BROKER),
     "Our side: 10 sites unreachable since 23:13 UTC · our broker, or the path to it · no site's line"),
])  # fmt: skip
def test_texts_of_an_incident(shown: Incident, english: str) -> None:
    made = views({"R": [stamp(1)]})
    made.incidents.show(made.incidents.render([shown]))
    assert english in page(made)


def test_the_overview_lists_some_incidents_and_counts_the_others() -> None:
    made = views({"R": [stamp(1)]})
    made.incidents.show(
        made.incidents.render(
            [incident(Level.POP, f"P{number}", Cause.ACCESS) for number in range(MOST_INCIDENTS + 3)]
        )
    )
    text = page(made)
    assert ("POP P7:" in text, "POP P8:" in text, " 3 more" in text) == (True, False, True)


def test_a_search_finds_sites_by_their_pop() -> None:
    made = views({"R": [stamp(1)]})
    assert overview(made.summaries, OverviewFilter(text="clermont-2")).matching == 1
    assert overview(made.summaries, OverviewFilter(text="clermont-3")).matching == 0


def reported(*records: Measurement, site: str = SITE) -> list[Outage]:
    found = [outage_of(seen(record, order, site=site)) for order, record in enumerate(records)]
    return [each for each in found if each is not None]


PLACES = {name: SitePlace("63", "Clermont-2", "") for name in TEN}


def month() -> tuple[tuple[HistoryOutage, ...], tuple[Incident, ...]]:
    """A cut of the POP; and of one site: the broker, an outage without a reported end, and one that lasts."""
    counts = SiteCounts(datable=10, sites=10)
    counts.pops["Clermont-2"] = 10
    reports = [
        report
        for number, name in enumerate(TEN)
        for report in reported(outage(1, BEGIN_US + number, END_US + number, Cause.BEYOND), site=name)
    ]
    reports += reported(
        outage(2, NOW_US - 3 * DAY_US, NOW_US - 3 * DAY_US + 43_000_000, Cause.BROKER, name="o2"),
        outage(3, NOW_US - 9 * DAY_US, None, Cause.SITE, name="o3"),
        outage(4, NOW_US - MINUTE_US, None, Cause.PEER, name="o4"),
        site="C3",
    )
    healthy = {("C3", "o3"): NOW_US - 8 * DAY_US}
    found = outage_history(newest_reports(reports), healthy, PLACES, counts)
    return found.sites["C3"], found.incidents


def test_outages_of_a_month_and_their_incidents() -> None:
    entries, (cut,) = month()
    assert [entry.outage.name for entry in entries] == ["o4", "outage-1", "o2", "o3"]
    assert [entry.incident for entry in entries] == [None, cut, None, None]
    assert [entry.lasts for entry in entries] == [True, False, False, False]
    assert [entry.is_of_site_or_line for entry in entries] == [False, True, False, True]
    assert (cut.place, len(cut.sites), cut.begin_us) == ("Clermont-2", 10, BEGIN_US)


def test_the_page_of_a_site_shows_begin_end_cause_and_incident() -> None:
    entries, _ = month()
    made = OutagePages(Language.ENGLISH).site("C3", "Lycée C3", entries, NOW_US)
    assert 'href="completeness?site=C3&amp;lang=en"' in made
    text = words(made)
    assert "Outages of Lycée C3 C3" in text
    assert "Outages: 4 · total duration: 11 min 43 s · not caused by site or line: 2." in text
    assert "2026-03-31 23:13:20 UTC 2026-03-31 23:24:20 UTC 11 min beyond the access line POP" in text
    assert "POP Clermont-2: 10 sites unreachable from 23:13 UTC to 23:24 UTC" in text
    assert "2026-03-22 23:33:20 UTC not reported; at the latest 2026-03-23 23:33:20 UTC" in text
    assert "still open" in text
    french = words(OutagePages(Language.FRENCH).site("C3", "", entries, NOW_US))
    assert "Coupures : 4 · durée totale : 11 min 43 s · sans cause au site ni sur sa ligne : 2." in french
    assert "non signalée ; au plus tard" in french


def test_the_page_lists_incidents_with_their_sites() -> None:
    _, found = month()
    text = OutagePages(Language.ENGLISH).incidents(found, NOW_US)
    assert "11 min POP Clermont-2 beyond the access line 10 C0 C1" in words(text)
    assert '<a href="?site=C3&amp;lang=en">C3</a>' in text
    empty = words(OutagePages(Language.ENGLISH).incidents((), NOW_US))
    assert "No incident of several sites" in empty


def test_the_pages_report_what_they_leave_out() -> None:
    entries, found = month()
    english, french = OutagePages(Language.ENGLISH), OutagePages(Language.FRENCH)
    assert "This list is incomplete" not in english.site("C3", "", entries, NOW_US) + english.incidents(
        found, NOW_US
    )
    text = words(english.site("C3", "", entries, NOW_US, since_us=BEGIN_US))
    assert "All reports since 2026-03-31 23:13:20 UTC are here." in text
    text = words(french.incidents(found, NOW_US, incomplete=3))
    assert "Sites ayant signalé trop de coupures pour cette page : 3." in text
    many = entries[:1] * (MOST_ROWS + 7)
    assert "The newest 500 are listed; 7 more are not." in words(english.site("C3", "", many, NOW_US))
    assert "The newest 500 are listed" not in words(english.site("C3", "", many[:MOST_ROWS], NOW_US))
    assert "The newest 500 are listed; 1 more" in words(english.incidents(found * (MOST_ROWS + 1), NOW_US))
    of_either_gender = "Les 500 entrées les plus récentes sont affichées, 7 autres ne le sont pas."
    assert of_either_gender in words(french.site("C3", "", many, NOW_US))
    assert of_either_gender in words(french.incidents(found * (MOST_ROWS + 7), NOW_US))


def test_the_page_knows_sites_with_more_reports_than_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.ledger.read.outages.MOST_OF_SITE", 1)
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    ledger.commit([judge(arrival(outage(1, BEGIN_US), outage(2, END_US, name="o2")))])
    ledger.close()
    found = asyncio.run(OutageHistoryCache(path, CurrentIncidents(render), lambda: NOW_US).read())
    assert found.complete_since == {SITE: END_US}


def test_text_from_outside_is_escaped() -> None:
    made = outage_history(reported(outage(1, BEGIN_US, END_US)), {}, {}, SiteCounts())
    text = OutagePages(Language.ENGLISH).site('"><b>x', "<i>", made.sites[SITE], NOW_US)
    assert "<b>x" not in text
    assert "<i>" not in text


@pytest.mark.parametrize(
    ("lasted_s", "expected"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3_599, "59 min 59 s"), (3_600, "1 h"),
     (3_659, "1 h"), (90_000, "1 d 1 h"), (400 * 86_400, "400 d")],
)  # fmt: skip
def test_durations_have_two_units(lasted_s: int, expected: str) -> None:
    entries = outage_history(
        reported(outage(1, BEGIN_US, BEGIN_US + lasted_s * 1_000_000)), {}, {}, SiteCounts()
    ).sites
    text = words(OutagePages(Language.ENGLISH).site("A", "", entries[SITE], NOW_US))
    assert f"total duration: {expected} ·" in text


def test_the_month_is_read_again_after_30_seconds(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    unclosed = outage(1, BEGIN_US, cause=Cause.UNKNOWN)
    old_us = NOW_US - MONTH_US - 1
    before = clock(old_us, boot_id="boot-0")
    old = outage(9, old_us, old_us, name="old", start=before)
    old = structs.replace(old, values=structs.replace(old.values, begin=before, end=before))
    ledger.commit([judge(arrival(unclosed, old, failed(2, BEGIN_US + 1), stamp(3, END_US)))])
    now_us = [NOW_US]
    reader = OutageHistoryCache(path, CurrentIncidents(render), lambda: now_us[0])

    async def read() -> list[int]:
        seen_then = []
        for later_us in (0, KEPT_US - 1, KEPT_US, KEPT_US - 1):
            now_us[0] = NOW_US + later_us
            found = await reader.read()
            seen_then.append(len(found.sites[SITE]))
            assert found.sites[SITE][-1].ended_by_us == END_US
            ledger.commit([judge(arrival(outage(5, NOW_US, name="new")))])
            if later_us == KEPT_US:
                ledger.commit([judge(arrival(outage(6, NOW_US, name="newer")))])
        return seen_then

    assert asyncio.run(read()) == [1, 1, 2, 3], "the last after the clock was set back"
    ledger.close()


def test_an_outage_without_a_date_shows_why() -> None:
    record = outage(1, BEGIN_US, END_US)
    before = ClockReading(wall_us=7, boot_us=7, boot_id="boot-0", synchronised=False)
    record = structs.replace(record, values=structs.replace(record.values, begin=before))
    assert "outage until 23:24 UTC: access line" in page(views({"A": [record, stamp(3)]}))
    entries = outage_history(reported(record), {}, {}, SiteCounts()).sites[SITE]
    text = words(OutagePages(Language.ENGLISH).site(SITE, "", entries, NOW_US))
    assert "its clock was not set 2026-03-31 23:24:20 UTC" in text
