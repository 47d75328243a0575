"""The pages of outages as HTML: words and looks for what ``outage_history`` found."""

from collections.abc import Sequence

from collector.incidents.correlation import Incident
from collector.incidents.history import HistoryOutage
from collector.pages.incident_texts import SECOND, IncidentTexts, moment
from collector.pages.overview_page import environment
from collector.pages.texts import CATALOGUE, Language

MOST_SITES = 60
MOST_ROWS = 500


class OutagePages:
    """Renders them in one language. Everything that came from outside is escaped."""

    def __init__(self, language: Language) -> None:
        self._words = CATALOGUE[language]
        self._event_words = IncidentTexts(self._words)
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
        """One site's outages; ``problem`` says why none are known, ``since_us`` since when all are here.

        ``name`` is None where nobody knows such a site.
        """
        left_out = [] if since_us is None else [self._words["outages.since"].format(moment(since_us, SECOND))]
        left_out += self._unlisted(entries)
        return self._render(
            now_us, site_id=site_id, name=name, entries=entries, problem=problem, left_out=left_out
        )

    def events(self, found: Sequence[Incident], now_us: int, problem: str = "", partly: int = 0) -> str:
        """Events upstream of several sites; of ``partly`` sites older outages are part of none."""
        left_out = [self._words["outages.partly"].format(partly)] if partly else []
        left_out += self._unlisted(found)
        return self._render(now_us, events=found, problem=problem, left_out=left_out)

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
        events: Sequence[Incident] = (),
        problem: str,
        left_out: Sequence[str],
    ) -> str:
        return self._template.render(
            self._event_words.frame(now_us),
            now=moment(now_us, SECOND),
            site_id=site_id,
            name=name,
            entries=entries[:MOST_ROWS],
            events=events[:MOST_ROWS],
            problem=problem,
            left_out=left_out,
        )

    def _total(self, entries: Sequence[HistoryOutage]) -> str:
        return self._words["outages.total"].format(
            count=len(entries),
            lasted=self._event_words.lasted(sum(entry.outage.lasted_us or 0 for entry in entries)),
            ours=sum(not entry.lines for entry in entries),
        )
