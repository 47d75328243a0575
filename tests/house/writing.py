"""Lines and docstrings of modules: what is code, what is comment, how docstrings begin and how long they run.

A line of code is one that is neither blank, nor a comment alone, nor part of a docstring. Blank lines inside
strings are blank. A docstring begins with a clause where its first word is one of ``CLAUSE_WORDS``.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.house.tree import Module


def vocabulary(text: str) -> frozenset[str]:
    """Words of a text, to look others up in."""
    return frozenset(text.split())


CLAUSE_WORDS = vocabulary("what who whom whose how whether when where which why of whoever whatever")
LONGEST_SENTENCE_WORDS = 25

_STRING_OR_COMMENT = re.compile(
    r'"""(?:\\.|[^\\])*?"""|'
    r"'''(?:\\.|[^\\])*?'''|"
    r'"(?:\\.|[^\\"\n])*"|'
    r"'(?:\\.|[^\\'\n])*'|"
    r"(#[^\n]*)",
    re.DOTALL,
)
_LIST_ITEM = re.compile(r"(?:[-*+•]|\d+[.)]|\w+(?:, \w+)*:)\s")
# Rows of a Markdown table, doctests, and what the docstring indents as an example.
_NO_TEXT = re.compile(r"\||>>>|\s{4}")
# The rule above, below or inside a table of reStructuredText.
_TABLE_RULE = re.compile(r"[=-]{3,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"”)'`*]*\s+(?=[^a-z])")


@dataclass(frozen=True)
class Docstring:
    """Docstring of a module, class or function, with whose it is and its first and last line."""

    owner: str
    place: str
    first: int
    last: int
    text: str

    @property
    def begins_with_clause(self) -> bool:
        """True where the first word, without markup, opens a clause instead of naming or doing something."""
        found = re.search(r"[^\W\d_]+", self.text)
        return found is not None and found.group().lower() in CLAUSE_WORDS

    def long_sentences(self) -> list[str]:
        """Sentences of more words than the house allows."""
        return [text for text in _sentences(self.text) if len(text.split()) > LONGEST_SENTENCE_WORDS]


def lines(module: Module) -> Counter[str]:
    """Count the lines of one module: ``all``, ``code``, ``comment``, and comments ``behind`` code."""
    text = module.text
    numbered = text.removesuffix("\n").split("\n") if text else []
    counted = Counter(all=len(numbered), code=0, comment=0, behind=0)
    no_code = {number for one in docstrings(module) for number in range(one.first, one.last + 1)}
    for match in _STRING_OR_COMMENT.finditer(text):
        if match.group(1):
            number = text.count("\n", 0, match.start()) + 1
            is_alone = numbered[number - 1].lstrip().startswith("#")
            counted["comment" if is_alone else "behind"] += 1
            if is_alone:
                no_code.add(number)
    counted["code"] = sum(bool(line.strip()) and at not in no_code for at, line in enumerate(numbered, 1))
    return counted


def total(modules: Iterable[Module]) -> Counter[str]:
    """Count the lines of all these modules."""
    counted: Counter[str] = Counter()
    for module in modules:
        counted.update(lines(module))
    return counted


def docstrings(module: Module) -> Iterator[Docstring]:
    """Every docstring of a module, the module's own first."""
    for owner, node in [(module.name, module.syntax), *module.definitions]:
        if text := ast.get_docstring(node):
            at = node.body[0]
            yield Docstring(owner, f"{module.path}:{at.lineno}", at.lineno, at.end_lineno or at.lineno, text)


def _sentences(text: str) -> Iterator[str]:
    """Sentences of running text, without tables and examples; each item of a list has its own."""
    paragraph: list[str] = []
    for line in [*text.splitlines(), ""]:
        is_text = bool(line.strip()) and not _NO_TEXT.match(line)
        if paragraph and (not is_text or _LIST_ITEM.match(line.strip())):
            if not any(_TABLE_RULE.match(part) for part in paragraph):
                yield from _SENTENCE_END.split(" ".join(paragraph))
            paragraph = []
        if is_text:
            paragraph.append(line.strip())
