"""One thing that ``plancher-agent check`` tried, and what came of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried. ``note``: worth knowing, but measuring works without it."""

    what: str
    ok: bool
    text: str
    note: bool = False

    def __str__(self) -> str:
        word = "ok" if self.ok else "note" if self.note else "wrong"
        return f"{word:<6} {self.what}: {self.text}"
