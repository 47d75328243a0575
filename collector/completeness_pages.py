"""The pages of completeness as HTML: words and looks for what ``completeness`` and the ledger found."""

from datetime import UTC, datetime
from urllib.parse import urlencode

from collector.catalogue import CATALOGUE, Language
from collector.completeness import Finding, Listing, Wanted, worst
from collector.holding import EpochHolding, Holding, Run, SiteHolding
from collector.inventory import Site
from collector.pages import STYLE, environment
from wire.messages import GapReason

# Colours that the overview's states have.
_TONES = {
    Finding.DOUBTFUL: "below-floor",
    Finding.MISSING: "suspect",
    Finding.DECLARED: "waiting",
    Finding.WHOLE: "ok",
}


class CompletenessPages:
    """Renders them in one language. Everything that came from outside is escaped."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = CATALOGUE[language]
        made = environment()
        made.filters |= {
            "grouped": self._grouped,
            "plain": str,
            "reason": self._reason,
            "around": self._around,
        }
        made.globals |= {
            "t": self._words,
            "language": language,
            "other": next(other for other in Language if other is not language),
            "style": STYLE,
            "moment": _moment,
            "tones": _TONES,
        }
        self._sites = made.get_template("completeness.html")
        self._site = made.get_template("completeness_site.html")

    def sites(self, found: Listing, wanted: Wanted, counted_us: int) -> str:
        """The list of sites, as they were counted then."""
        query = {"q": wanted.text, "show": wanted.finding or ""}
        return self._sites.render(
            found=found,
            wanted=wanted,
            findings=list(Finding),
            tone=_tone_of_site,
            subject="",
            counted_us=counted_us,
            link=lambda **changes: self._link(query, **changes),
        )

    def site(self, site: Site, found: SiteHolding | None, counted_us: int) -> str:
        """One site's epochs, or that nothing of it came."""
        return self._site.render(
            site=site,
            found=found,
            tone=_tone_of_epoch,
            subject=site.name or site.site_id,
            counted_us=counted_us,
            link=lambda **changes: self._link({"site": site.site_id}, **changes),
        )

    def _link(self, query: dict[str, str], **changes: object) -> str:
        """A link to this page with some of its questions changed; one changed to "" is no longer asked."""
        asked = {"lang": self._language} | query | changes
        return "?" + urlencode({key: value for key, value in asked.items() if value})

    def _grouped(self, number: int) -> str:
        return f"{number:,}".replace(",", self._words["thousands"])

    def _reason(self, reason: str) -> str:
        return self._words[f"reason.{reason}"] if reason in set(GapReason) else reason

    def _around(self, run: Run) -> str:
        """When what is missing was measured, as far as its neighbours tell."""
        times = {"after": run.after_us, "before": run.before_us}
        known = [(kind, _moment(time_us)) for kind, time_us in times.items() if time_us is not None]
        if not known:
            return ""
        key = "between" if len(known) == 2 else known[0][0]
        return self._words[f"run.{key}"].format(*(moment for _, moment in known))


def _tone_of_site(held: Holding) -> str:
    return _TONES[worst(held)]


def _tone_of_epoch(epoch: EpochHolding) -> str:
    if epoch.conflicts or epoch.forks or epoch.is_behind:
        return _TONES[Finding.DOUBTFUL]
    if epoch.missing:
        return _TONES[Finding.MISSING]
    return _TONES[Finding.DECLARED if epoch.declared else Finding.WHOLE]


def _moment(time_us: int) -> str:
    """To the minute; a time that no calendar holds (a clock may claim any) as its number."""
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):
        return str(time_us)
