"""Puts generated text between markers of a document that people write the rest of."""

from pathlib import Path

from lab.bench.accuracy.report import Report, short_markdown, whole_markdown

BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
ROOT = Path(__file__).parents[3]


class MarkerError(Exception):
    """A document lacks its markers; the text says which."""


def write(report: Report, root: Path = ROOT) -> tuple[Path, ...]:
    """Renew both documents; returns those that were written. Raises MarkerError before writing any."""
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
    """``text`` with ``new`` between its markers. Raises MarkerError."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise MarkerError(f"{name} lacks the lines {BEGIN} and {END}, between which the tables go")
    return f"{head}{BEGIN}\n{new}\n{END}{tail}" if new else f"{head}{BEGIN}\n{END}{tail}"
