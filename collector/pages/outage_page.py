"""Pages of outages as HTML: the incidents of a month, the outages of one site, and the sites of a search."""

from collections.abc import Sequence

from collector.incidents.correlation import Incident
from collector.incidents.history import HistoryOutage
from collector.model.inventory import Site
from collector.pages.incident_texts import SECOND, IncidentTexts, moment
from collector.pages.overview_page import environment
from collector.pages.texts import CATALOGUE, Language

# A line that flaps once an hour has 1,500 outages in a month.
MOST_SITES = 60
MOST_ROWS = 500


class OutagePages:
    """Renders both pages in one language, with everything from outside escaped."""

    def __init__(self, language: Language) -> None:
        self._words = CATALOGUE[language]
        self._texts = IncidentTexts(self._words)
        made = environment(language)
        made.globals |= {"most_sites": MOST_SITES, "total": self._total}
        self._template = made.get_template("outages.html")

    def site(
        self,
        site_id: str,
        name: str | None,
        entries: Sequence[HistoryOutage],
        now_us: int,
        problem: str = "",
        since_us: int | None = None,
    ) -> str:
        """Render one site's outages. ``name`` is None for an unknown site.

        ``problem`` says why the ledger could not be read. ``since_us`` is the time from which all outages are
        listed, if there are more than are read.
        """
        left_out = [] if since_us is None else [self._words["outages.since"].format(moment(since_us, SECOND))]
        left_out += self._unlisted(entries)
        return self._render(
            now_us, site_id=site_id, name=name, entries=entries, problem=problem, left_out=left_out
        )

    def incidents(
        self, found: Sequence[Incident], now_us: int, problem: str = "", incomplete: int = 0
    ) -> str:
        """Render incidents; ``incomplete`` is the number of sites whose older outages were not read."""
        left_out = [self._words["outages.incomplete"].format(incomplete)] if incomplete else []
        left_out += self._unlisted(found)
        return self._render(now_us, incidents=found, problem=problem, left_out=left_out)

    def matches(self, wanted: str, sites: Sequence[Site], now_us: int, problem: str = "") -> str:
        """Render links to the sites that the words ``wanted`` find."""
        found = sorted(sites, key=lambda site: (site.name.casefold(), site.site_id))
        return self._render(now_us, wanted=wanted, matches=found, problem=problem, left_out=())

    def _unlisted(self, found: Sequence[object]) -> list[str]:
        more = len(found) - MOST_ROWS
        return [self._words["outages.unlisted"].format(shown=MOST_ROWS, more=more)] if more > 0 else []

    def _render(
        self,
        now_us: int,
        *,
        site_id: str = "",
        name: str | None = "",
        entries: Sequence[HistoryOutage] = (),
        incidents: Sequence[Incident] = (),
        wanted: str = "",
        matches: Sequence[Site] = (),
        problem: str,
        left_out: Sequence[str],
    ) -> str:
        return self._template.render(
            self._texts.frame(now_us),
            now=moment(now_us, SECOND),
            site_id=site_id,
            name=name,
            entries=entries[:MOST_ROWS],
            incidents=incidents[:MOST_ROWS],
            wanted=wanted or site_id,
            matches=matches[:MOST_ROWS],
            matching=len(matches),
            problem=problem,
            left_out=left_out,
        )

    def _total(self, entries: Sequence[HistoryOutage]) -> str:
        return self._words["outages.total"].format(
            count=len(entries),
            lasted=self._texts.lasted(sum(entry.outage.lasted_us or 0 for entry in entries)),
            others=sum(not entry.is_of_site_or_line for entry in entries),
        )
