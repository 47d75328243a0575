"""The overview as HTML: words and looks for what ``overview`` found."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import jinja2

from collector.catalogue import CATALOGUE, Language
from collector.live import State
from collector.overview import Figure, Filter, Overview
from wire.records import Verdict

_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = (_TEMPLATES / "overview.css").read_text(encoding="utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_AGES = (("day", 172_800, 86_400), ("hour", 7_200, 3_600), ("minute", 120, 60), ("second", 0, 1))


class Pages:
    """Renders the overview in one language. Everything that came from outside is escaped."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._words = CATALOGUE[language]
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_TEMPLATES),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters |= {"rate": self._rate, "ms": self._milliseconds, "percent": self._percent}
        self._template = environment.get_template("overview.html")

    def overview(self, found: Overview, wanted: Filter, problems: Sequence[str], now_us: int) -> str:
        """The page. ``problems`` are the collector's own, one sentence each."""
        return self._template.render(
            t=self._words,
            language=self._language,
            other=next(language for language in Language if language is not self._language),
            style=_STYLE,
            found=found,
            wanted=wanted,
            problems=problems,
            states=list(State),
            link=lambda **changes: _link(wanted, self._language, **changes),
            age=lambda time_us: self._age(now_us - time_us),
            floor=self._floor,
            now=datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        )

    def _number(self, text: str) -> str:
        return text.replace(".", self._words["decimal"])

    def _rate(self, figure: Figure) -> str:
        """Mbit/s; rounded down unless it passed, so that a floor missed never reads as a floor kept."""
        megabits = figure.bps / 1e6
        if megabits >= 100:
            return f"{int(megabits)}"
        if figure.verdict is not Verdict.PASS:
            megabits = int(megabits * 10 + 1e-6) / 10
        return self._number(f"{megabits:.1f}")

    def _floor(self, figure: Figure) -> str:
        """One decimal like the figure beside it, two where the floor itself has them."""
        megabits = figure.floor_bps / 1e6
        return self._number(
            f"{megabits:.1f}" if abs(megabits * 10 - round(megabits * 10)) < 1e-6 else f"{megabits:.2f}"
        )

    def _milliseconds(self, time_us: int) -> str:
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


def _link(wanted: Filter, language: Language, **changes: object) -> str:
    """A link to this page with some of its questions changed; one changed to "" is no longer asked."""
    query: dict[str, object] = {
        "q": wanted.text,
        "departement": wanted.departement,
        "state": wanted.state or "",
        "lang": language,
    }
    return "?" + urlencode({key: value for key, value in (query | changes).items() if value})
