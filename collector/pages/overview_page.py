"""Overview as HTML: texts and looks for the lines of ``overview``; and the environment of all templates."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlencode

import jinja2

from collector.incidents.correlation import Incident
from collector.live.site_state import SiteState
from collector.model.notice import Notice
from collector.model.own_problem import OwnProblem
from collector.pages.incident_texts import SECOND, IncidentTexts, moment
from collector.pages.overview import FloorFigure, Overview, OverviewFilter
from collector.pages.texts import CATALOGUE, Language, problem_text

_TEMPLATES = Path(__file__).parent / "templates"
STYLE = (_TEMPLATES / "overview.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

HEADERS = {
    # Names of sites and errors come from outside: even if escaping failed, no script would run.
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # A page that a browser kept would show an hour ago as now.
    "Cache-Control": "no-store",
}

# The sites below stay in sight, also in a storm of hundreds of incidents.
MOST_INCIDENTS = 8
# Units of an age, with the seconds from which each is used: "119 min ago" says more than "1 h ago".
_AGES = (("day", 172_800, 86_400), ("hour", 7_200, 3_600), ("minute", 120, 60), ("second", 0, 1))


def environment(language: Language) -> jinja2.Environment:
    """Make the templates' environment: values are escaped, and an unknown name is an error."""
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
    """Make a function that links to the page with changes to its query; "" removes a parameter."""

    def link(**changes: object) -> str:
        asked = {**query, "lang": language} | changes
        return "?" + urlencode({key: value for key, value in asked.items() if value})

    return link


class OverviewPages:
    """Renders the overview in one language, with everything from outside escaped."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = CATALOGUE[language]
        self._texts = IncidentTexts(self._words)
        made = environment(language)
        made.filters |= {
            "rate": self._rate,
            "megabits": self._megabits,
            "ms": self._milliseconds,
            "percent": self._percent,
            "notice": self._notice,
        }
        self._template = made.get_template("overview.html")

    def overview(
        self,
        found: Overview,
        wanted: OverviewFilter,
        problems: Sequence[OwnProblem],
        now_us: int,
        incidents: Sequence[Incident] = (),
        incident_of: Callable[[str], Incident | None] = lambda _: None,
    ) -> str:
        """Render the page; ``problems`` are those of the collector itself."""
        return self._template.render(
            self._texts.frame(now_us),
            incidents=incidents,
            incident_of=incident_of,
            most_incidents=MOST_INCIDENTS,
            found=found,
            wanted=wanted,
            problems=[problem_text(self._words, one) for one in problems],
            states=list(SiteState),
            link=linking(
                self._language, q=wanted.text, departement=wanted.departement, state=wanted.state or ""
            ),
            age=lambda time_us: self._age(now_us - time_us),
            floor=self._floor,
            now=moment(now_us, SECOND),
        )

    def _number(self, text: str) -> str:
        return text.replace(".", self._words["decimal"])

    def _rate(self, figure: FloorFigure) -> str:
        """Rate in Mbit/s with two decimals, from 100 Mbit/s on with none."""
        decimals = 2 if figure.bps < 100e6 else 0
        rounded = round(figure.bps / 1e6, decimals)
        # A rate below the floor is never rounded up to it: 7.996 of 8.00 would read as reached.
        if figure.bps < figure.floor_bps <= rounded * 1e6:
            rounded -= 10**-decimals
        return self._number(f"{rounded:.{decimals}f}")

    def _megabits(self, bps: float) -> str:
        return self._number(f"{bps / 1e6:.{1 if bps < 100e6 else 0}f}")

    def _notice(self, notice: Notice) -> str:
        direction = self._words[f"direction.{notice.direction}"] if notice.direction else ""
        place = f"({notice.place})" if notice.place else ""
        sentence = self._words[f"notice.{notice.kind}"]
        figures = {"number": notice.number, "other": notice.other, "name": notice.name, "by": notice.place}
        return sentence.format(direction=direction, place=place, **figures).strip()

    def _floor(self, figure: FloorFigure) -> str:
        """Floor in Mbit/s with two decimals like the rate beside it, or three if it has them."""
        megabits = f"{figure.floor_bps / 1e6:.3f}"
        return self._number(megabits.removesuffix("0"))

    def _milliseconds(self, time_us: int) -> str:
        """Time in milliseconds with one decimal, and never 0.0: no packet takes no time."""
        if time_us < 50:
            return f"<{self._number('0.1')}"
        return self._number(f"{time_us / 1000:.1f}")

    def _percent(self, ratio: float) -> str:
        """Percentage with one decimal, below 1 % with two: little loss must not read as none."""
        return self._number(f"{ratio * 100:.2f}" if 0 < ratio < 0.01 else f"{ratio * 100:.1f}")

    def _age(self, age_us: int) -> str:
        seconds = age_us // 1_000_000
        if seconds < -60:
            return self._words["age.future"]
        unit, _, size = next(step for step in _AGES if max(0, seconds) >= step[1])
        return self._words[f"age.{unit}"].format(max(0, seconds) // size)
