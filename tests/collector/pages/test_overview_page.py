import re
from html import unescape

import msgspec
import pytest

from collector.live.fleet import Fleet
from collector.live.notices import NoticeKind, notices
from collector.live.site_state import SiteState
from collector.model.inventory import Site
from collector.model.notice import Notice
from collector.model.observation import Observation, Series
from collector.model.own_problem import OwnProblem, ProblemKind
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from collector.pages.overview import (
    PAGE_ROWS,
    Overview,
    OverviewFilter,
    SiteSummary,
    Trouble,
    Waiting,
    overview,
    summarise,
)
from collector.pages.overview_page import HEADERS, OverviewPages
from collector.pages.texts import Language
from tests.collector.examples import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    capacity,
    capacity_values,
    dns,
    failed,
    floor,
    floor_values,
    path,
    path_values,
    seen,
    stamp,
    stamp_values,
    under_load,
)
from wire.messages.envelope import PresenceState
from wire.records import Bound, Direction, Failure, Measurement, Outcome, Standing, Verdict

PASS = floor_values(Verdict.PASS, 8.02e6)
BAD = floor_values(Verdict.FAIL, 6.4e6, 6.57e6)
WORSE = floor_values(Verdict.FAIL, 2.4e6, 2.5e6)
SUSPECT = msgspec.structs.replace(
    floor_values(Verdict.FAIL, 7.0e6, 7.1e6), standing=Standing.SUSPECT, under_load=under_load(84_500)
)
BOUNDED = msgspec.structs.replace(capacity_values(9.74e6), bound=Bound.PEER)
SITES: dict[str, list[Measurement]] = {
    "fine": [
        floor(1, values=PASS),
        stamp(2, values=stamp_values(12_340)),
        stamp(3, dscp=0, values=stamp_values(8_000, 0.004)),
        capacity(4),
        capacity(5, direction=Direction.UP, values=BOUNDED),
    ],
    "noticed": [
        floor(1, values=SUSPECT),
        stamp(
            2, values=msgspec.structs.replace(stamp_values(), forward_dscp=0, requested_dscp=46, reply_dscp=8)
        ),
        path(3),
        path(4, dscp=0, values=msgspec.structs.replace(path_values(), black_hole=True, dscp_changed_at=None)),
        capacity(5, outcome=Outcome.SKIPPED, failure=Failure.BUDGET_SPENT, values=None),
        dns(6, outcome=Outcome.FAILED, failure=Failure.WRONG_ANSWER),
    ],
    "bad": [floor(1, values=BAD), floor(2, values=PASS, direction=Direction.UP)],
    "worse": [floor(1, values=PASS), floor(2, values=WORSE, direction=Direction.UP)],
    "silent": [floor(1, NOW_US - 5 * HOUR_US, PASS)],
    "new": [],
    "unjudged": [stamp(1, NOW_US - 1), failed(2)],
    "unconfirmed": [
        floor(1, NOW_US - 9, PASS),
        floor(2, values=floor_values(Verdict.UNCONFIRMED, 7.99e6, 7.99e6)),
    ],
}


def fleet() -> Fleet:
    departement = {name: "63" if len(name) > 4 else "03" for name in SITES}
    inventory = {
        name: Site(name, f"Lycée {name}", "lycée", departement[name], "Thiers", supplier="Opérateur <A>")
        for name in SITES
    }
    made = Fleet(inventory)
    for name, records in SITES.items():
        made.learn([seen(record, order, site=name) for order, record in enumerate(records)], NOW_US)
    made.learn([seen(floor(1), site="nobody-<b>knows")], NOW_US)
    made.learn_comparisons(
        [ComparedTest("pop-1", "noticed", Direction.DOWN, NOW_US, ComparisonResult.DISAGREE, 0.253)], NOW_US
    )
    made.set_presence("silent", PresenceState.CONNECTION_LOST)
    return made


def summaries() -> list[SiteSummary]:
    return [summarise(site, NOW_US) for site in fleet()]


def find(**query: str) -> Overview:
    return overview(summaries(), OverviewFilter.from_query(query))


def ids(found: Overview) -> list[str]:
    return [row.site.site_id for row in found.rows]


def html(language: Language = Language.ENGLISH, problems: tuple[OwnProblem, ...] = (), **query: str) -> str:
    wanted = OverviewFilter.from_query(query)
    return OverviewPages(language).overview(
        overview(summaries(), wanted), wanted, problems, NOW_US + 1_000_000
    )


def words(text: str) -> str:
    """Text that a reader sees."""
    body = re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))).replace("≥ ", "≥")


def summary_of(*records: Measurement | Observation) -> SiteSummary:
    site = Fleet({"a": Site("a", "A")})
    found = [one if isinstance(one, Observation) else seen(one, n, "a") for n, one in enumerate(records)]
    site.learn(found, NOW_US)
    return summarise(next(iter(site)), NOW_US)


def of_records(*records: Measurement, language: Language = Language.ENGLISH) -> str:
    """Text of the page of one site."""
    found = overview([summary_of(*records)], OverviewFilter())
    return words(OverviewPages(language).overview(found, OverviewFilter(), (), NOW_US))


def test_a_site_links_to_its_outages_in_the_same_language() -> None:
    assert '<a class="site" href="outages?site=bad&amp;lang=fr">Lycée bad</a>' in html(Language.FRENCH)


def test_the_worst_site_comes_first() -> None:
    everything = "worse bad silent noticed new unjudged nobody-<b>knows unconfirmed fine"
    assert ids(find()) == everything.split()


@pytest.mark.parametrize(("query", "expected"), [
    ({"state": "below-floor"}, ["worse", "bad"]),
    ({"departement": "03"}, ["bad", "new", "fine"]),
    ({"q": "LYCEE wors"}, ["worse"]),
    ({"q": "thiers", "state": "silent"}, ["silent"]),
    ({"q": "operateur nothing"}, []),
    ({"state": "on fire", "page": "-1"}, None),
    ({"page": "9999999999"}, None),
    ({"page": "2"}, None),
])  # fmt: skip
def test_filters_and_searches(query: dict[str, str], expected: list[str] | None) -> None:
    assert ids(find(**query)) == (ids(find()) if expected is None else expected)


def test_counts_ignore_the_filter_by_state() -> None:
    found = find(state="silent")
    assert found.counts == {
        SiteState.BELOW_FLOOR: 2,
        SiteState.SILENT: 1,
        SiteState.SUSPECT: 1,
        SiteState.WAITING: 2,
        SiteState.NOT_IN_INVENTORY: 1,
        SiteState.OK: 2,
    }
    assert (found.matching, found.total, found.departements) == (1, 9, ["03", "63"])


def test_the_list_is_cut_into_pages() -> None:
    base = summaries()[0]
    many = [base] * (2 * PAGE_ROWS + 1)
    sizes = [len(overview(many, OverviewFilter(page=page)).rows) for page in (1, 2, 3, 4)]
    assert sizes == [PAGE_ROWS, PAGE_ROWS, 1, 1]
    text = OverviewPages(Language.ENGLISH).overview(
        overview(many, OverviewFilter(page=2)), OverviewFilter(page=2), (), NOW_US
    )
    assert "Page 2 / 3 · 201 sites" in words(text)
    assert 'rel="prev" href="?lang=en&amp;page=1"' in text
    assert 'rel="next" href="?lang=en&amp;page=3"' in text


def test_a_line_shows_figures_and_their_floor() -> None:
    text = words(html())
    assert (
        "Below floor Lycée bad bad · Thiers · 03 · Opérateur <A> 6.57 of 8.00 Mbit/s ≥8.02 of 8.00 Mbit/s"
        in text
    )
    assert "7.99 of 8.00 Mbit/s unconfirmed" in text
    assert "19.8 / ≥9.7 Mbit/s 12.3 ms 0.40 % 1 s ago" in text


@pytest.mark.parametrize(("verdict", "at_least_bps", "capacity_bps", "floor_bps", "text"), [
    (Verdict.PASS, 7.96e6, None, 8e6, "≥8.00 of 8.00"),
    (Verdict.PASS, 8.04e6, None, 8e6, "≥8.04 of 8.00"),
    (Verdict.PASS, 7.96e6, 7.97e6, 8e6, "7.97 of 8.00"),
    (Verdict.PASS, 7.96e6, 250.7e6, 8e6, "251 of 8.00"),
    (Verdict.UNDETERMINED, 7.9e6, 7.99e6, 8e6, "7.99 of 8.00"),
    (Verdict.UNCONFIRMED, 7.996e6, None, 8e6, "≥7.99 of 8.00"),
    (Verdict.FAIL, 6.4e6, 6.496e6, 8e6, "6.50 of 8.00"),
    (Verdict.FAIL, 7.9999e6, 7.9999e6, 8e6, "7.99 of 8.00"),
    (Verdict.FAIL, 2.1249e6, 2.1249e6, 2.125e6, "2.12 of 2.125"),
    (Verdict.FAIL, 99.999e6, 99.999e6, 100e6, "99.99 of 100.00"),
    (Verdict.FAIL, 499.6e6, 499.6e6, 500e6, "499 of 500.00"),
])  # fmt: skip
def test_a_figure_reads_as_the_floor_only_if_the_floor_is_kept(
    verdict: Verdict, at_least_bps: float, capacity_bps: float | None, floor_bps: float, text: str
) -> None:
    values = floor_values(verdict, at_least_bps, capacity_bps)
    shown = of_records(floor(1, values=msgspec.structs.replace(values, floor_bps=floor_bps)))
    assert re.findall(r"(≥?[0-9.]+ of [0-9.]+) Mbit/s", shown) == [text]


def test_a_waiting_site_shows_the_reason() -> None:
    text = words(html())
    assert "Waiting Lycée new new · Thiers · 03 · Opérateur <A> Waiting for the first measurement" in text
    assert "Waiting for a floor verdict last latency train: no answer" in text
    assert {line.site.site_id: line.waiting for line in summaries() if line.waiting} == {
        "new": Waiting.MEASUREMENT,
        "unjudged": Waiting.VERDICT,
    }


def test_notices_are_below_the_site() -> None:
    text = words(html(q="noticed"))
    assert "suspect, direction down: a floor test failed and is being repeated" in text
    assert "records of agent and peer differ by 25 %, direction down" in text
    assert "DSCP 46 arrives as 0, direction up DSCP 46 arrives as 8, direction down" in text
    assert "path: DSCP 46 is changed before hop 3 (10.0.3.1)" in text
    assert "path: no packets larger than 1400 bytes from hop 3 (10.0.3.1)" in text
    assert "path: packets larger than 1400 bytes vanish without an error message" in text
    assert "search skipped: byte budget spent" in text
    assert "last resolution of names: wrong answer" in text
    assert "DNS: resolver 10.0.0.1 answers nothing within 2000 ms" in text
    assert "DNS: portal.example.fr: wrong answer from 10.0.0.2" in text
    assert "10.4 ms 86.0 ms under load" in text
    french = words(html(Language.FRENCH, q="noticed"))
    assert "relevés de l'agent et du pair divergents de 25 %, sens descendant" in french
    assert "dernière résolution de noms : mauvaise réponse" in french
    assert "le résolveur 10.0.0.1 ne répond à rien en 2000 ms" in french
    assert "portal.example.fr : mauvaise réponse de 10.0.0.2" in french
    assert not re.search(r"\b(path|search|direction down|under load)\b", french)


@pytest.mark.parametrize(
    ("rtt_us", "english", "french"),
    [(4, "<0.1 ms", "<0,1 ms"), (49, "<0.1 ms", "<0,1 ms"), (50, "0.1 ms", "0,1 ms")],
)
def test_a_round_trip_time_is_never_shown_as_zero(rtt_us: int, english: str, french: str) -> None:
    quick = stamp(2, values=stamp_values(rtt_us))
    for language, text in ((Language.ENGLISH, english), (Language.FRENCH, french)):
        assert f" {text} " in of_records(quick, language=language)


def test_a_disagreement_is_shown_for_a_day() -> None:
    made = fleet()
    (site,) = [found for found in made if found.site_id == "noticed"]
    kinds = [{notice.kind for notice in notices(site, NOW_US + age * HOUR_US)} for age in (23, 24)]
    assert [NoticeKind.RECORDS_DISAGREE in found for found in kinds] == [True, False]


def test_a_trace_that_does_not_arrive_shows_its_last_hop() -> None:
    lost = msgspec.structs.replace(path_values(), reached=False, dscp_changed_at=None, mtu_limited_at=None)
    assert summary_of(path(1, values=lost)).notices == (Notice("not-reached", None, 4),)


def unmeasured(failure: Failure, start_us: int = NOW_US - MINUTE_US, **more: object) -> Measurement:
    """Floor test without values."""
    values = {"outcome": Outcome.FAILED, "failure": failure}
    return msgspec.structs.replace(floor(9, start_us), values=None, **values, **more)


def test_a_failed_floor_test_shows_beside_successful_trains() -> None:
    text = of_records(floor(1, NOW_US - 4 * HOUR_US, BAD), unmeasured(Failure.PEER_BUSY), stamp(2))
    assert "last floor test: peer busy" in text
    assert "6.57 of 8.00 Mbit/s 4 h ago" in text


@pytest.mark.parametrize(("hours", "shown"), [(0, False), (4, True)])
def test_a_routine_failure_shows_only_without_fresh_values(hours: int, shown: bool) -> None:
    text = of_records(floor(1, NOW_US - hours * HOUR_US, PASS), unmeasured(Failure.SITE_IN_USE, NOW_US + 1))
    assert ("last floor test: gave way to the site" in text) is shown


def test_a_failed_probe_of_a_newer_agent_has_no_name() -> None:
    moon = msgspec.structs.replace(
        seen(unmeasured(Failure.NO_ANSWER)), series=Series("a", "moon", None, None)
    )
    assert summary_of(moon).troubles == (Trouble("", Failure.NO_ANSWER),)


def test_a_silent_site_shows_its_connection_and_age() -> None:
    assert re.search(r"Silent Lycée silent .* agent's connection lost .* 5 h ago", words(html(q="silent")))


def test_the_page_in_french() -> None:
    text = words(html(Language.FRENCH))
    assert "6,57 sur 8,00 Mbit/s" in text
    assert "En attente de la première mesure" in text
    assert "dernière mesure de latence : pas de réponse" in text
    assert not re.search(r"\b(of|Waiting|Silent|ago)\b", text)


def test_everything_from_outside_is_escaped() -> None:
    text = html(
        problems=(OwnProblem(ProblemKind.BROKER, "<script>"),),
        q='"><script>alert(1)</script>',
        departement="<i>",
    )
    assert "<script>" not in text
    assert "<b>knows" not in html()
    assert "nobody-&lt;b&gt;knows" in html()


def test_problems_of_the_collector_are_on_the_page() -> None:
    assert "Problems of the collector itself: broker: nothing listens" in words(
        html(problems=(OwnProblem(ProblemKind.BROKER, "broker: nothing listens"),))
    )
    assert "Problems" not in words(html(q="worse"))


def test_problems_of_the_collector_are_in_the_language_of_the_page() -> None:
    problems = (OwnProblem(ProblemKind.BLACKOUT), OwnProblem(ProblemKind.INVENTORY, "sites.csv, line 2"))
    text = words(html(Language.FRENCH, problems))
    assert "aucune mesure n'atteint le registre" in text
    assert "le précédent reste utilisé : sites.csv, line 2" in text
    assert "ledger" not in text


def test_an_empty_fleet_has_a_text() -> None:
    page = OverviewPages(Language.ENGLISH)
    assert "no site has reported yet" in page.overview(
        overview([], OverviewFilter()), OverviewFilter(), (), NOW_US
    )
    assert "No site matches this search." in html(q="nowhere")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    text = html()
    assert not re.search(r"<script|<img|<link|\son[a-z]+=|\sstyle=|url\(|https?://", text)
    assert HEADERS["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172_800, "2 d")],
)
def test_units_of_ages(seconds: int, text: str) -> None:
    assert f" {text} ago" in of_records(floor(1, NOW_US - seconds * 1_000_000))


def test_a_clock_ahead_is_shown() -> None:
    assert "clock ahead" in of_records(stamp(1, NOW_US + 5 * MINUTE_US))
