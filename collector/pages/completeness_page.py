"""The pages of completeness as HTML: words and looks for what ``completeness`` and the ledger found."""

from collector.model.completeness import EpochCompleteness, MissingRun, SiteCompleteness, SiteEpochs
from collector.model.inventory import Site
from collector.pages.completeness import CompletenessFilter, CompletenessFinding, CompletenessList, worst
from collector.pages.incident_texts import MINUTE, moment
from collector.pages.overview_page import environment, linking
from collector.pages.texts import CATALOGUE, Language
from wire.messages.envelope import GapReason

# Colours that the overview's states have.
_TONES = {
    CompletenessFinding.DOUBTFUL: "below-floor",
    CompletenessFinding.MISSING: "suspect",
    CompletenessFinding.DECLARED: "waiting",
    CompletenessFinding.WHOLE: "ok",
}


class CompletenessPages:
    """Renders them in one language. Everything that came from outside is escaped."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = CATALOGUE[language]
        made = environment(language)
        made.filters |= {
            "grouped": self._grouped,
            "plain": str,
            "reason": self._reason,
            "around": self._around,
        }
        made.globals |= {"moment": _moment, "tones": _TONES}
        self._sites = made.get_template("completeness.html")
        self._site = made.get_template("completeness_site.html")

    def sites(self, found: CompletenessList, wanted: CompletenessFilter, counted_us: int) -> str:
        """The list of sites, as they were counted then."""
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
        """One site's epochs, or that nothing of it came."""
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

    def _around(self, run: MissingRun) -> str:
        """When what is missing was measured, as far as its neighbours tell."""
        times = {"after": run.after_us, "before": run.before_us}
        known = [(kind, _moment(time_us)) for kind, time_us in times.items() if time_us is not None]
        if not known:
            return ""
        key = "between" if len(known) == 2 else known[0][0]
        return self._words[f"run.{key}"].format(*(moment for _, moment in known))


def _tone_of_site(held: SiteCompleteness) -> str:
    return _TONES[worst(held)]


def _tone_of_epoch(epoch: EpochCompleteness) -> str:
    if epoch.conflicts or epoch.forks or epoch.is_behind:
        return _TONES[CompletenessFinding.DOUBTFUL]
    if epoch.missing:
        return _TONES[CompletenessFinding.MISSING]
    return _TONES[CompletenessFinding.DECLARED if epoch.declared else CompletenessFinding.WHOLE]


def _moment(time_us: int) -> str:
    return moment(time_us, MINUTE)
