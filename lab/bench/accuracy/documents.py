"""Generated tables between the markers of a document."""

from pathlib import Path

from lab.bench.accuracy.report import Report, short_markdown, whole_markdown

BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
ROOT = Path(__file__).parents[3]


class MarkerError(Exception):
    """A document lacks its markers; the text names it."""


def write(report: Report, root: Path = ROOT) -> tuple[Path, ...]:
    """Write the tables into both documents and return their paths. Raises MarkerError before writing any."""
    wanted = {
        root / "README.md": short_markdown(report),
        root / "docs" / "methods.md": whole_markdown(report),
    }
    renewed = {
        path: between(path.name, path.read_text(encoding="utf-8"), new) for path, new in wanted.items()
    }
    for path, text in renewed.items():
        path.write_text(text, encoding="utf-8")
    return tuple(renewed)


def between(name: str, text: str, new: str) -> str:
    """Return ``text`` with ``new`` between its markers. Raises MarkerError."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise MarkerError(f"{name} lacks the lines {BEGIN} and {END}: add them where the tables belong")
    return f"{head}{BEGIN}\n{new}\n{END}{tail}" if new else f"{head}{BEGIN}\n{END}{tail}"
