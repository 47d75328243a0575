from html import unescape

import pytest

from collector.live.fleet import Fleet
from collector.live.site_state import LiveSite
from collector.metrics.families import completeness
from collector.model.completeness import EpochCompleteness, MissingRun, SiteCompleteness, SiteEpochs
from collector.model.inventory import Site
from collector.pages.completeness import CompletenessFilter, CompletenessFinding, listing, worst
from collector.pages.completeness_page import CompletenessPages
from collector.pages.overview import PAGE_ROWS
from collector.pages.texts import Language
from tests.collector.examples import HOUR_US, NOW_US, SITE

LYCEE = Site("S5", "Lycée <b>Pascal</b>", "lycée", "63", "Clermont", "pop-1", "Opérateur A")
SITES = [
    SiteCompleteness("S1", 100),
    SiteCompleteness("S2", 1_234_567, missing=3),
    SiteCompleteness("S3", 100, declared={"dropped": 5_000, "damaged": 2}),
    SiteCompleteness("S4", 100, missing=70, pending=4),
    SiteCompleteness("S5", 100, conflicts=1),
    SiteCompleteness("S6", 100, pending=9),
    SiteCompleteness("S7", 100, missing=1, forks=2),
]


def known(site_id: str) -> Site | None:
    return LYCEE if site_id == "S5" else None


def shown(wanted: CompletenessFilter) -> list[str]:
    return [line.site.site_id for line in listing(SITES, known, wanted).lines]


def page(wanted: CompletenessFilter | None = None, language: Language = Language.ENGLISH) -> str:
    wanted = wanted or CompletenessFilter()
    return unescape(CompletenessPages(language).sites(listing(SITES, known, wanted), wanted, NOW_US))


def test_the_gravest_finding_comes_first() -> None:
    assert shown(CompletenessFilter()) == ["S7", "S5", "S4", "S2", "S3", "S6", "S1"]


def test_each_finding_counts_and_filters() -> None:
    found = listing(SITES, known, CompletenessFilter())
    assert found.counts == {
        CompletenessFinding.DOUBTFUL: 2,
        CompletenessFinding.MISSING: 3,
        CompletenessFinding.DECLARED: 1,
        CompletenessFinding.COMPLETE: 2,
    }
    assert found.within == 7
    assert shown(CompletenessFilter(CompletenessFinding.MISSING)) == ["S7", "S4", "S2"]
    assert shown(CompletenessFilter(CompletenessFinding.DOUBTFUL)) == ["S7", "S5"]
    assert shown(CompletenessFilter(CompletenessFinding.COMPLETE)) == ["S6", "S1"]


def test_a_search_reads_the_inventory() -> None:
    assert shown(CompletenessFilter(text="lycee clermont")) == ["S5"]
    assert shown(CompletenessFilter(text="s4")) == ["S4"]
    assert shown(CompletenessFilter(text="nowhere")) == []


def test_pending_measurements_are_no_defect() -> None:
    assert worst(SiteCompleteness("S", 1, pending=5)) is CompletenessFinding.COMPLETE
    assert SiteCompleteness("S", 1, pending=5).defects is None


def test_the_list_is_cut_into_pages() -> None:
    many = [SiteCompleteness(f"S{number:04}", 1) for number in range(2 * PAGE_ROWS + 1)]
    last = listing(many, known, CompletenessFilter(page=99))
    assert (last.page, last.pages, len(last.lines)) == (3, 3, 1)


@pytest.mark.parametrize(("query", "wanted"), [
    ({}, CompletenessFilter()),
    ({"show": "missing", "q": " a ", "page": "3"}, CompletenessFilter(CompletenessFinding.MISSING, "a", 3)),
    ({"show": "nonsense", "page": "-1"}, CompletenessFilter()),
    ({"page": "٣"}, CompletenessFilter()),
])  # fmt: skip
def test_parts_of_a_query_that_make_no_sense_are_ignored(
    query: dict[str, str], wanted: CompletenessFilter
) -> None:
    assert CompletenessFilter.from_query(query) == wanted


def test_the_fleet_learns_defects_and_returns_the_sites_with_changes() -> None:
    fleet = Fleet({SITE: Site(SITE, "x")})
    assert (
        fleet.learn_completeness([SiteCompleteness(SITE, 5), SiteCompleteness("stranger", 1, missing=4)])
        == set()
    )
    assert fleet.learn_completeness([SiteCompleteness(SITE, 5, missing=2)]) == {SITE}
    assert fleet.learn_completeness([SiteCompleteness(SITE, 6, missing=2, pending=1)]) == set()
    assert fleet.learn_completeness([SiteCompleteness(SITE, 9)]) == {SITE}


def test_the_page_shows_figures_and_reasons_and_escapes_names() -> None:
    raw = CompletenessPages(Language.ENGLISH).sites(
        listing(SITES, known, CompletenessFilter()), CompletenessFilter(), NOW_US
    )
    assert "Lycée &lt;b&gt;Pascal" in raw
    text = page()
    assert "1,234,567" in text
    assert "the journal was full: 5,000" in text
    assert 'href="?lang=en&site=S4"' in text
    french = page(language=Language.FRENCH)
    assert "1\N{NARROW NO-BREAK SPACE}234\N{NARROW NO-BREAK SPACE}567" in french
    assert "journal endommagé" in french
    assert 'hreflang="en"' in french


def test_links_keep_the_query() -> None:
    text = page(CompletenessFilter(CompletenessFinding.MISSING, "S"))
    assert 'href="?q=S&show=complete&lang=en"' in text
    assert 'href="?q=S&show=missing&lang=fr"' in text


def test_the_page_of_a_site_shows_epochs_and_runs() -> None:
    runs = (
        MissingRun(3, 3, NOW_US, NOW_US + HOUR_US),
        MissingRun(7, 9, NOW_US, None),
        MissingRun(1, 1, None, NOW_US),
        MissingRun(4, 5, None, None),
    )
    epochs = (
        EpochCompleteness(
            "a" * 16, "b" * 16, 9, 4, 5, 0, 0, 1, 1, True, NOW_US, NOW_US + HOUR_US, runs, more_runs=True
        ),
        EpochCompleteness("b" * 16, None, 9, 0, 0, 0, 9, 0, 0, False, None, None),
        EpochCompleteness("c" * 16, None, 9, 9, 0, 0, 0, 0, 0, False, 2**62, 2**62),
    )
    found = SiteEpochs("S5", epochs, total=10)
    text = unescape(CompletenessPages(Language.ENGLISH).site(LYCEE, found, NOW_US))
    for expected in (
        "between 2026-03-31 23:33 UTC and 2026-04-01 00:33 UTC",
        "<b>7\N{EN DASH}9</b> after 2026-03-31 23:33 UTC",
        "<b>1</b> before 2026-03-31 23:33 UTC",
        "<b>4\N{EN DASH}5</b> </li>",
        "another epoch continues the same one",
        "begins before the end of the previous epoch",
        "and others",
        "nothing received",
        "7 more epochs are not shown.",
        str(2**62),
        'href="?site=S5&lang=fr"',
        'href="outages?site=S5&lang=en"',
    ):
        assert expected in text, expected
    assert "S5" in CompletenessPages(Language.FRENCH).site(Site("S5", ""), None, NOW_US)


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    sites = [SiteCompleteness("S1", 1, declared={"moon-phase": 2})]
    text = CompletenessPages(Language.ENGLISH).sites(
        listing(sites, known, CompletenessFilter()), CompletenessFilter(), NOW_US
    )
    assert "moon-phase" in text


def test_unknown_reasons_are_one_series() -> None:
    site = LiveSite(
        "S1", None, defects=SiteCompleteness("S1", 1, declared={"moon-phase": 2, "tide": 3, "dropped": 4})
    )
    [family] = [one for one in completeness.FAMILIES if "declared_lost" in one.name]
    assert list(family.samples(site, NOW_US)) == [(',reason="dropped"', 4), (',reason="other"', 5)]
