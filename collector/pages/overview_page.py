"""The overview as HTML: words and looks for what ``overview`` found. And what all pages are made with."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlencode

import jinja2

from collector.incidents.correlation import Incident
from collector.live.notices import Notice
from collector.live.site_state import SiteState
from collector.pages.incident_texts import SECOND, IncidentTexts, moment
from collector.pages.overview import FloorFigure, Overview, OverviewFilter
from collector.pages.texts import CATALOGUE, Language

_TEMPLATES = Path(__file__).parent / "templates"
STYLE = (_TEMPLATES / "overview.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

MOST_EVENTS = 8
_AGES = (("day", 172_800, 86_400), ("hour", 7_200, 3_600), ("minute", 120, 60), ("second", 0, 1))


def environment(language: Language) -> jinja2.Environment:
    """Templates in one language, whose every value is escaped, and in which no name may be unknown."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.globals |= {
        "t": CATALOGUE[language],
        "language": language,
        "other": next(other for other in Language if other is not language),
        "style": STYLE,
    }
    return made


def linking(language: Language, **query: str) -> Callable[..., str]:
    """Makes links to a page with some of its questions changed; one changed to "" is no longer asked."""

    def link(**changes: object) -> str:
        asked = {**query, "lang": language} | changes
        return "?" + urlencode({key: value for key, value in asked.items() if value})

    return link


class OverviewPages:
    """Renders the overview in one language. Everything that came from outside is escaped."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = CATALOGUE[language]
        self._event_words = IncidentTexts(self._words)
        made = environment(language)
        made.filters |= {
            "rate": self._rate,
            "megabits": self._megabits,
            "ms": self._milliseconds,
            "percent": self._percent,
            "remark": self._remark,
        }
        self._template = made.get_template("overview.html")

    def overview(
        self,
        found: Overview,
        wanted: OverviewFilter,
        problems: Sequence[str],
        now_us: int,
        events: Sequence[Incident] = (),
        event_of: Callable[[str], Incident | None] = lambda _: None,
    ) -> str:
        """The page. ``problems`` are the collector's own, one sentence each; ``events`` those upstream."""
        return self._template.render(
            self._event_words.frame(now_us),
            events=events,
            event_of=event_of,
            most_events=MOST_EVENTS,
            found=found,
            wanted=wanted,
            problems=problems,
            states=list(SiteState),
            link=linking(
                self._language,
                q=wanted.text,
                departement=wanted.departement,
                state=wanted.state or "",
            ),
            age=lambda time_us: self._age(now_us - time_us),
            floor=self._floor,
            now=moment(now_us, SECOND),
        )

    def _number(self, text: str) -> str:
        return text.replace(".", self._words["decimal"])

    def _rate(self, figure: FloorFigure) -> str:
        """Mbit/s to the nearest hundredth (from 100 on, the nearest whole); never rounded up to the floor."""
        decimals = 2 if figure.bps < 100e6 else 0
        told = round(figure.bps / 1e6, decimals)
        if figure.bps < figure.floor_bps <= told * 1e6:
            told -= 10**-decimals
        return self._number(f"{told:.{decimals}f}")

    def _megabits(self, bps: float) -> str:
        return self._number(f"{bps / 1e6:.{1 if bps < 100e6 else 0}f}")

    def _remark(self, remark: Notice) -> str:
        direction = self._words[f"direction.{remark.direction}"] if remark.direction else ""
        place = f"({remark.place})" if remark.place else ""
        sentence = self._words[f"remark.{remark.kind}"]
        figures = {"number": remark.number, "other": remark.other}
        return sentence.format(direction=direction, place=place, **figures).strip()

    def _floor(self, figure: FloorFigure) -> str:
        """Two decimals like the figure beside it, three where the floor itself has them."""
        megabits = f"{figure.floor_bps / 1e6:.3f}"
        return self._number(megabits.removesuffix("0"))

    def _milliseconds(self, time_us: int) -> str:
        """Tenths, and never 0: no packet takes no time."""
        if time_us < 50:
            return f"<{self._number('0.1')}"
        return self._number(f"{time_us / 1000:.1f}")

    def _percent(self, ratio: float) -> str:
        """Two decimals below 1 %, so that a little loss is not shown as none."""
        return self._number(f"{ratio * 100:.2f}" if 0 < ratio < 0.01 else f"{ratio * 100:.1f}")

    def _age(self, age_us: int) -> str:
        seconds = age_us // 1_000_000
        if seconds < -60:
            return self._words["age.future"]
        unit, _, size = next(step for step in _AGES if max(0, seconds) >= step[1])
        return self._words[f"age.{unit}"].format(max(0, seconds) // size)
