"""Lines and docstrings of modules: what is code, what is comment, how docstrings begin and how long they run.

A line of code is one that is neither blank, nor a comment alone, nor part of a docstring. Blank lines inside
strings are blank. A docstring begins with a clause where its first word is one of ``CLAUSE_WORDS``.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.house.tree import Definition, Module


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
class Lines:
    """Lines of a set of modules, by what is on them."""

    all: int = 0
    code: int = 0
    comment: int = 0
    comment_behind_code: int = 0

    def __add__(self, other: "Lines") -> "Lines":
        """Add each of the figures."""
        return Lines(
            self.all + other.all,
            self.code + other.code,
            self.comment + other.comment,
            self.comment_behind_code + other.comment_behind_code,
        )


@dataclass(frozen=True)
class Docstring:
    """Docstring of a module, class or function, with where it is and whose."""

    module: Module
    owner: str
    line: int
    text: str

    @property
    def place(self) -> str:
        """File and line, as editors understand them."""
        return f"{self.module.path}:{self.line}"

    @property
    def is_of_package(self) -> bool:
        """True for the docstring of an ``__init__.py``."""
        return self.module.is_package and self.owner == self.module.name

    @property
    def first_word(self) -> str:
        """First word in lower case, without the markup around it."""
        found = re.search(r"[^\W\d_]+", self.text)
        return found.group().lower() if found else ""

    @property
    def begins_with_clause(self) -> bool:
        """True where the first word opens a clause instead of naming or doing something."""
        return self.first_word in CLAUSE_WORDS

    def long_sentences(self) -> list[str]:
        """Sentences of more words than the house allows."""
        return [text for text in _sentences(self.text) if len(text.split()) > LONGEST_SENTENCE_WORDS]


def lines(module: Module) -> Lines:
    """Count the lines of one module."""
    text = module.text
    inside_docstrings = _docstring_lines(module)
    alone, behind = set(), 0
    for match in _STRING_OR_COMMENT.finditer(text):
        if match.group(1):
            start = text.rfind("\n", 0, match.start()) + 1
            if text[start : match.start()].strip():
                behind += 1
            else:
                alone.add(text.count("\n", 0, match.start()) + 1)
    numbered = text.removesuffix("\n").split("\n") if text else []
    code = sum(
        1
        for number, line in enumerate(numbered, 1)
        if line.strip() and number not in alone and number not in inside_docstrings
    )
    return Lines(len(numbered), code, len(alone), behind)


def total(modules: Sequence[Module]) -> Lines:
    """Count the lines of all these modules."""
    return sum((lines(module) for module in modules), Lines())


def docstrings(module: Module) -> Iterator[Docstring]:
    """Every docstring of a module that has any text, the module's own first."""
    for owner, node in _owners(module):
        text = ast.get_docstring(node)
        if text and text.strip():
            yield Docstring(module, owner, node.body[0].lineno, text)


def length(function: Definition) -> int:
    """Lines from ``def`` to the end, decorators left out."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _owners(module: Module) -> Iterator[tuple[str, ast.Module | Definition]]:
    yield module.name, module.syntax
    for named in module.definitions:
        yield named.qualified, named.node


def _docstring_lines(module: Module) -> set[int]:
    found: set[int] = set()
    for _, node in _owners(module):
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            found.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    return found


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
