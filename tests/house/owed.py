"""List of what older code still owes the house: it only ever shrinks (``make house-owed``).

Each line of ``owed.txt`` is one finding that is known and tolerated: its rule, the name of what it is about,
and the opening words. The file says nothing of paths, so a module that moves owes what it owed before.

A finding pairs with a line of the same rule in three rounds: name and words alike, words alike, name alike.
So a renamed class or a reworded docstring stays owed. A finding without a line is new, and the check fails.
A line without a finding is paid, and the check fails too, until ``make house-owed`` has removed it.

Git merges the file by keeping the lines of both sides (``.gitattributes``). That may bring back paid lines;
``make house-owed`` removes them, and conflict markers as well.
"""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("owed.txt")
_HEAD = """\
# What older code still owes the house, one finding a line: rule, name, opening words.
# Nothing is added here by hand. Mend something, then run `make house-owed`: it removes the line.
"""
_OPENING_WORDS = 8
_LINE = re.compile(r"(?P<rule>[a-z]+) (?P<name>\S+)(?: \| (?P<words>.+))?")


@dataclass(frozen=True, order=True)
class Debt:
    """One line of the list."""

    rule: str
    name: str
    words: str = ""

    def __str__(self) -> str:
        """Write the line as the file has it."""
        return f"{self.rule} {self.name}" + (f" | {self.words}" if self.words else "")


@dataclass(frozen=True)
class Finding:
    """A place where the source breaks a rule, with what to do about it."""

    debt: Debt
    place: str
    message: str

    def __str__(self) -> str:
        """Write the finding as a compiler would."""
        return f"{self.place}: {self.message}"


@dataclass(frozen=True)
class Comparison:
    """Findings set against the list."""

    new: list[Finding]
    owed: list[Finding]
    paid: list[Debt]


def opening(text: str) -> str:
    """First words of a text, enough to know it again."""
    return " ".join(text.split()[:_OPENING_WORDS])


def read(file: Path = FILE) -> list[Debt]:
    """Read the list; comments, blank lines and the markers of a merge conflict are passed over."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        match = _LINE.fullmatch(line)
        if match:
            found.append(Debt(match["rule"], match["name"], match["words"] or ""))
    return found


def write(debts: Iterable[Debt], file: Path = FILE) -> None:
    """Write the list, sorted, so that two branches change the same lines in the same places."""
    text = "".join(f"{debt}\n" for debt in sorted(debts))
    file.write_text(_HEAD + text, encoding="utf-8")


def compare(findings: Sequence[Finding], debts: Sequence[Debt]) -> Comparison:
    """Pair findings with lines of the list, each line at most once."""
    new, paid = list(findings), list(debts)
    owed: list[Finding] = []
    keys: list[Callable[[Debt], Hashable]] = [
        lambda debt: debt,
        # Without words the next round would pair any two classes.
        lambda debt: (debt.rule, debt.words or debt),
        lambda debt: (debt.rule, debt.name),
    ]
    for key in keys:
        waiting: dict[Hashable, list[Debt]] = {}
        for debt in paid:
            waiting.setdefault(key(debt), []).append(debt)
        still_new = []
        for finding in new:
            lines = waiting.get(key(finding.debt))
            if lines:
                lines.pop()
                owed.append(finding)
            else:
                still_new.append(finding)
        new, paid = still_new, [debt for lines in waiting.values() for debt in lines]
    return Comparison(new, owed, paid)


def shrink(findings: Sequence[Finding], file: Path = FILE) -> Comparison:
    """Remove from the list what is paid and refresh the names of the rest; nothing is ever added."""
    comparison = compare(findings, read(file))
    write((finding.debt for finding in comparison.owed), file)
    return comparison
