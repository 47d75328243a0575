"""Rules of names and docstrings that ``make house-check`` enforces.

| rule | holds for | says |
|---|---|---|
| class | product | a public class name exists once |
| docstring | product, tests | the first word is a noun or a verb and opens no clause |
| package | product | the docstring of a package has 5 to 15 lines |
| sentence | product | a sentence in a docstring has at most 25 words |

Commit subjects have a rule of their own in ``commits``.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.house import commits
from tests.house.tree import Module, Tree, of_work_tree
from tests.house.writing import Docstring, docstrings

PACKAGE_DOCSTRING_LINES = range(5, 16)


@dataclass(frozen=True)
class Finding:
    """A place where the source breaks a rule, with what to do about it."""

    place: str
    message: str

    def __str__(self) -> str:
        """Write the finding as a compiler would."""
        return f"{self.place}: {self.message}"


def findings(tree: Tree) -> Iterator[Finding]:
    """Every finding of every rule."""
    for name, places in class_places(tree).items():
        for place in places if len(places) > 1 else ():
            others = ", ".join(other for other in places if other != place)
            message = f"class {name} exists {len(places)} times ({others}): give it a name of its own"
            yield Finding(place, message)
    for module in tree.product:
        yield from _of_package(module) if module.is_package else ()
    for module in [*tree.product, *tree.tests]:
        for one in docstrings(module):
            if one.begins_with_clause:
                yield _of_docstring(one, one.text, "begins with a clause", "begin with a noun or verb")
            for sentence in one.long_sentences() if module in tree.product else ():
                fault = f"has a sentence of {len(sentence.split())} words"
                yield _of_docstring(one, sentence, fault, "one sentence, one fact, 25 words at most")


def _of_docstring(one: Docstring, text: str, fault: str, advice: str) -> Finding:
    opening = " ".join(text.split()[:8])
    return Finding(one.place, f"docstring of {one.owner} {fault} ({opening} ...): {advice}")


def _of_package(module: Module) -> Iterator[Finding]:
    count = len((ast.get_docstring(module.syntax) or "").splitlines())
    if count not in PACKAGE_DOCSTRING_LINES:
        message = f"docstring of package {module.name} has {count} lines, not 5 to 15"
        yield Finding(f"{module.path}:1", f"{message}: say what lives here and who may import it")


def class_places(tree: Tree) -> dict[str, list[str]]:
    """Names of public classes in the product, each with the places that define it."""
    places = defaultdict(list)
    for module in tree.product:
        for name, node in module.definitions:
            is_private = any(part.startswith("_") for part in name.split("."))
            if isinstance(node, ast.ClassDef) and not is_private:
                places[node.name].append(f"{module.path}:{node.lineno}")
    return places


def check() -> int:
    """Compare the source and the commit subjects with the rules; 1 where anything is to be mended."""
    found = list(findings(of_work_tree()))
    problems, looked_at = commits.check()
    print(f"House: {looked_at}.")
    return _report(found, "The rules are in tests/house/checks.py.") | _report(
        problems, "A subject is `scope: imperative`; the reason goes into the body."
    )


def _report(problems: Sequence[object], advice: str) -> int:
    """Print problems and what to do about them; 1 where there are any."""
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"{len(problems)} to mend. {advice}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(check())
