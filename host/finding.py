"""Findings of the ``check`` command, with the same lines and exit codes in agent, peer and collector."""

from collections.abc import Iterable
from dataclasses import dataclass

from host.exits import Exit

CODES = (
    f"exit {Exit.OK:d}: nothing is wrong; else by the first fault: {Exit.CONFIGURATION:d} settings,"
    f" {Exit.CANNOT_CREATE:d} files that cannot be read or written, {Exit.UNAVAILABLE:d} no answer"
)


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """Result of one check. ``code`` is ``Exit.OK`` or the kind of fault, see ``CODES``.

    ``note``: worth knowing, but no fault: the program works.
    """

    what: str
    text: str
    code: Exit = Exit.OK
    note: bool = False

    @property
    def ok(self) -> bool:
        """True without a fault and without a note."""
        return self.code is Exit.OK and not self.note

    def __str__(self) -> str:
        word = "WRONG" if self.code is not Exit.OK else "note" if self.note else "ok"
        return f"{word:<6} {self.what}: {self.text}"


def print_finding(finding: CheckFinding) -> Exit:
    """Print a finding at once and return its code."""
    print(finding, flush=True)  # noqa: T201 -- the command's result
    return finding.code


def exit_code(codes: Iterable[Exit]) -> Exit:
    """Choose the exit code of ``check``: the first that is not OK, since the most basic is checked first."""
    return next((code for code in codes if code is not Exit.OK), Exit.OK)
