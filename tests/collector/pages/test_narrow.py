"""Pages on the screen of a telephone, 360 pixels wide, in a real browser: nothing runs over."""

import json
import re
import subprocess
from collections.abc import Iterator
from html import escape, unescape
from pathlib import Path

from collector.incidents.correlation import Incident, Level, SiteCounts, SiteOutage, SitePlace
from collector.incidents.history import outage_history
from collector.live.fleet import Fleet
from collector.model.completeness import EpochCompleteness, MissingRun, SiteCompleteness, SiteEpochs
from collector.model.inventory import Site
from collector.model.outages import newest_reports, outage_of
from collector.model.own_problem import OwnProblem, ProblemKind
from collector.pages.completeness import CompletenessFilter, listing
from collector.pages.completeness_page import CompletenessPages
from collector.pages.outage_page import OutagePages
from collector.pages.overview import OverviewFilter, overview, summarise
from collector.pages.overview_page import OverviewPages
from collector.pages.texts import Language
from tests import servers
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, outage, seen
from tests.collector.pages.test_overview_page import SITES
from wire.messages.envelope import PresenceState
from wire.records import Cause

WIDTH = 360
IN_WORDS = "Lycée polyvalent des métiers du bâtiment et des travaux publics de Saint-Rémy-en-Bouzemont"
IN_ONE = "Lycéepolyvalentdesmétiersdubâtiment" * 5
LONGEST_ID = "0631234A-" + "9" * 55
REPORT = """<script>
addEventListener("load", () => {
  const found = {};
  for (const frame of document.querySelectorAll("iframe")) {
    const root = frame.contentDocument.documentElement;
    const over = [...root.querySelectorAll("body *")].filter(
      one => one.getBoundingClientRect().right > root.clientWidth + 1);
    const places = over.slice(0, 5).map(one => one.outerHTML.slice(0, 120));
    found[frame.name] = [root.clientWidth, root.scrollWidth, places];
  }
  const report = document.createElement("pre");
  report.textContent = JSON.stringify(found);
  document.body.replaceChildren(report);
});
</script>"""


def sites() -> dict[str, Site]:
    """Sites with everything that the overview can say of one, and with the longest texts."""
    names = [*SITES, LONGEST_ID]
    return {
        name: Site(
            name,
            IN_ONE if number % 2 else IN_WORDS,
            "lycée",
            IN_WORDS if number % 2 else "63",
            commune=IN_WORDS if number % 2 else IN_ONE,
            pop=IN_ONE,
            supplier=IN_ONE,
        )
        for number, name in enumerate(names)
    }


def fleet() -> Fleet:
    made = Fleet(sites())
    for name, records in SITES.items():
        more = [outage(9, NOW_US - HOUR_US, NOW_US - MINUTE_US)] if name == "fine" else []
        made.learn([seen(one, order, site=name) for order, one in enumerate([*records, *more])], NOW_US)
    made.set_presence("silent", PresenceState.CONNECTION_LOST)
    return made


def incidents() -> list[Incident]:
    members = tuple(
        SiteOutage(name, SitePlace(), NOW_US - HOUR_US, 0, None, Cause.BEYOND) for name in sites()
    )
    return [Incident(level, IN_ONE, Cause.UNKNOWN, members) for level in Level]


def pages(language: Language) -> Iterator[tuple[str, str]]:
    """All pages, with a name for each."""
    asked = OverviewFilter(text=IN_ONE[:100])
    found = overview([summarise(site, NOW_US) for site in fleet()], OverviewFilter())
    problem = OwnProblem(next(iter(ProblemKind)), IN_ONE)
    yield (
        "overview",
        OverviewPages(language).overview(
            found, asked, [problem], NOW_US, incidents(), lambda _: incidents()[0]
        ),
    )
    outages = OutagePages(language)
    ended = [outage(1, NOW_US - HOUR_US, NOW_US, name="o1"), outage(2, NOW_US - HOUR_US, name="o2")]
    reports = [outage_of(seen(one, order, site=LONGEST_ID)) for order, one in enumerate(ended)]
    month = outage_history(newest_reports([one for one in reports if one]), {}, {}, SiteCounts())
    entries = month.sites[LONGEST_ID]
    yield "outages of a site", outages.site(LONGEST_ID, IN_ONE, entries, NOW_US, IN_ONE, NOW_US)
    yield "outages of no site", outages.site(IN_ONE[:100], None, (), NOW_US)
    yield (
        "incidents",
        outages.incidents(incidents(), NOW_US, incomplete=3).replace("<details>", "<details open>"),
    )
    yield "sites found", outages.matches(IN_ONE[:100], list(sites().values()), NOW_US)
    completeness = CompletenessPages(language)
    counted = [
        SiteCompleteness(name, 10**12, missing=10**9, declared={"dropped": 10**9, "damaged": 2}, conflicts=3,
                         forks=1, pending=10**6)
        for name in sites()
    ]  # fmt: skip
    wanted = CompletenessFilter(text=IN_ONE[:100])
    yield (
        "completeness",
        completeness.sites(listing(counted, sites().get, CompletenessFilter()), wanted, NOW_US),
    )
    run = MissingRun(2**52, 2**53, NOW_US, NOW_US + HOUR_US)
    epoch = EpochCompleteness(
        "a" * 16, "b" * 16, 2**53, 4, 5, 0, 0, 1, 1, True, NOW_US, NOW_US + HOUR_US, (run,), more_runs=True
    )
    of_one = SiteEpochs(LONGEST_ID, (epoch,), total=10)
    yield "completeness of a site", completeness.site(sites()[LONGEST_ID], of_one, NOW_US)


def test_no_page_runs_over_a_narrow_screen(tmp_path: Path) -> None:
    chromium = servers.require("chromium")
    frames = [
        f'<iframe name="{language}: {name}" width="{WIDTH}" height="2000" srcdoc="{escape(text)}"></iframe>'
        for language in Language
        for name, text in pages(language)
    ]
    place = tmp_path / "all.html"
    place.write_text(f"<!doctype html><meta charset=utf-8>{REPORT}{''.join(frames)}", encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile"]
    called = [str(chromium), *options, "--dump-dom", place.as_uri()]
    done = subprocess.run(called, capture_output=True, text=True, timeout=300, check=True)
    [report] = re.findall(r"<pre>(.*)</pre>", done.stdout)
    found = json.loads(unescape(report))
    assert len(found) == len(frames)
    over = {
        name: (scroll, where) for name, (width, scroll, where) in found.items() if scroll > width or where
    }
    assert over == {}
