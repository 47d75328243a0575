"""Pages of completeness as HTML: all sites, and the journal epochs of one site."""

from collector.model.completeness import EpochCompleteness, MissingRun, SiteCompleteness, SiteEpochs
from collector.model.inventory import Site
from collector.pages.completeness import CompletenessFilter, CompletenessFinding, CompletenessList, worst
from collector.pages.incident_texts import MINUTE, moment
from collector.pages.overview_page import environment, linking
from collector.pages.texts import CATALOGUE, Language
from wire.messages.envelope import GapReason

# Classes of the style sheet: the colours of the overview's states.
_TONES = {
    CompletenessFinding.DOUBTFUL: "below-floor",
    CompletenessFinding.MISSING: "suspect",
    CompletenessFinding.DECLARED: "waiting",
    CompletenessFinding.COMPLETE: "ok",
}


class CompletenessPages:
    """Renders both pages in one language, with everything from outside escaped."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = CATALOGUE[language]
        made = environment(language)
        made.filters |= {
            "grouped": self._grouped,
            "plain": str,
            "reason": self._reason,
            "measured": self._measured,
        }
        made.globals |= {"moment": _moment, "tones": _TONES}
        self._sites = made.get_template("completeness.html")
        self._site = made.get_template("completeness_site.html")

    def sites(self, found: CompletenessList, wanted: CompletenessFilter, counted_us: int) -> str:
        """Render the list of sites, as counted at ``counted_us``."""
        return self._sites.render(
            found=found,
            wanted=wanted,
            findings=list(CompletenessFinding),
            tone=_tone_of_site,
            subject="",
            counted_us=counted_us,
            link=linking(self._language, q=wanted.text, show=wanted.finding or ""),
        )

    def site(self, site: Site, found: SiteEpochs | None, counted_us: int) -> str:
        """Render one site's epochs; ``found`` is None for a site from which nothing arrived."""
        return self._site.render(
            site=site,
            found=found,
            tone=_tone_of_epoch,
            subject=site.name or site.site_id,
            counted_us=counted_us,
            link=linking(self._language, site=site.site_id),
        )

    def _grouped(self, number: int) -> str:
        return f"{number:,}".replace(",", self._words["thousands"])

    def _reason(self, reason: str) -> str:
        return self._words[f"reason.{reason}"] if reason in set(GapReason) else reason

    def _measured(self, run: MissingRun) -> str:
        """Time in which a run was measured, as far as the measurements around it show."""
        times = {"after": run.after_us, "before": run.before_us}
        known = [(kind, _moment(time_us)) for kind, time_us in times.items() if time_us is not None]
        if not known:
            return ""
        key = "between" if len(known) == 2 else known[0][0]
        return self._words[f"run.{key}"].format(*(text for _, text in known))


def _tone_of_site(counted: SiteCompleteness) -> str:
    return _TONES[worst(counted)]


def _tone_of_epoch(epoch: EpochCompleteness) -> str:
    if epoch.conflicts or epoch.forks or epoch.is_behind:
        return _TONES[CompletenessFinding.DOUBTFUL]
    if epoch.missing:
        return _TONES[CompletenessFinding.MISSING]
    return _TONES[CompletenessFinding.DECLARED if epoch.declared else CompletenessFinding.COMPLETE]


def _moment(time_us: int) -> str:
    return moment(time_us, MINUTE)
