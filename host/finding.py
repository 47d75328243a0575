"""One thing that a program's ``check`` tried, and what came of it: the same line and codes in all three."""

from collections.abc import Iterable
from dataclasses import dataclass

from host.exits import Exit

CODES = (
    f"exit {Exit.OK:d}: nothing is wrong; else by the first that is: {Exit.CONFIGURATION:d} settings,"
    f" {Exit.CANNOT_CREATE:d} files, {Exit.UNAVAILABLE:d} what does not answer"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` is ``Exit.OK`` where nothing is wrong, else whose fault it is: see ``CODES``.

    ``note``: worth knowing, but the program works without it.
    """

    what: str
    text: str
    code: Exit = Exit.OK
    note: bool = False

    @property
    def ok(self) -> bool:
        """Neither wrong nor worth a note."""
        return self.code is Exit.OK and not self.note

    def __str__(self) -> str:
        word = "WRONG" if self.code is not Exit.OK else "note" if self.note else "ok"
        return f"{word:<6} {self.what}: {self.text}"


def tell(finding: Finding) -> Exit:
    """Print it, at once, and return its code."""
    print(finding, flush=True)  # noqa: T201 -- the command's result
    return finding.code


def amount_to(codes: Iterable[Exit]) -> Exit:
    """With what ``check`` ends: the first that is not OK, since the most basic is tried first."""
    return next((code for code in codes if code is not Exit.OK), Exit.OK)
