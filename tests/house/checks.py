"""Rules that ``make house-check`` holds: nothing new comes in, and what is mended leaves the list of debts.

| rule | holds for | says |
|---|---|---|
| class | product | a public class name exists once |
| docstring | product, tests | the first word is a noun or a verb and opens no clause |
| package | product | the docstring of a package has 5 to 15 lines |
| sentence | product | a sentence in a docstring has at most 25 words |

Commit subjects have a rule of their own in ``commits``; they have no debts, only a first commit.
"""

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from tests.house import commits, owed
from tests.house.owed import Debt, Finding
from tests.house.tree import Module, Tree, of_work_tree
from tests.house.writing import LONGEST_SENTENCE_WORDS, docstrings

PACKAGE_DOCSTRING_LINES = range(5, 16)

_LIST = f"tests/house/{owed.FILE.name}"


def findings(tree: Tree) -> list[Finding]:
    """Every finding of every rule."""
    return [*doubled_classes(tree), *clauses(tree), *packages(tree), *long_sentences(tree)]


def class_places(tree: Tree) -> dict[str, list[str]]:
    """Names of public classes in the product, each with the places that define it."""
    places = defaultdict(list)
    for module in tree.product:
        for named in module.definitions:
            if named.is_public_class:
                places[named.node.name].append(f"{module.path}:{named.node.lineno}")
    return places


def doubled_classes(tree: Tree) -> Iterator[Finding]:
    """One finding for each class whose name another one has, too."""
    for name, places in class_places(tree).items():
        for place in places if len(places) > 1 else ():
            others = ", ".join(other for other in places if other != place)
            message = f"class {name} exists {len(places)} times ({others}): give it a name of its own"
            yield Finding(Debt("class", name), place, message)


def clauses(tree: Tree) -> Iterator[Finding]:
    """Docstrings that begin with a clause."""
    for module in tree.edited:
        for docstring in docstrings(module):
            if docstring.begins_with_clause:
                words = owed.opening(docstring.text)
                message = (
                    f"docstring of {docstring.owner} begins with a clause ({words} ...):"
                    " begin with a noun or verb"
                )
                yield Finding(Debt("docstring", docstring.owner, words), docstring.place, message)


def packages(tree: Tree) -> Iterator[Finding]:
    """Packages whose docstring is missing, or too short or too long to tell what lives there."""
    for module in tree.product:
        if module.is_package:
            text, place = _package_docstring(module)
            count = len(text.splitlines())
            if count not in PACKAGE_DOCSTRING_LINES:
                message = (
                    f"docstring of package {module.name} has {count} lines, not 5 to 15:"
                    " say what lives here, what may not, and who may import it"
                )
                yield Finding(Debt("package", module.name, owed.opening(text)), place, message)


def long_sentences(tree: Tree) -> Iterator[Finding]:
    """Sentences of more than 25 words in docstrings."""
    for module in tree.product:
        for docstring in docstrings(module):
            for sentence in docstring.long_sentences():
                words = owed.opening(sentence)
                message = (
                    f"docstring of {docstring.owner} has a sentence of {len(sentence.split())} words"
                    f" ({words} ...), {LONGEST_SENTENCE_WORDS} at most: one sentence, one fact"
                )
                yield Finding(Debt("sentence", docstring.owner, words), docstring.place, message)


def _package_docstring(module: Module) -> tuple[str, str]:
    """Text and place of a package's docstring."""
    for docstring in docstrings(module):
        if docstring.is_of_package:
            return docstring.text, docstring.place
    return "", f"{module.path}:1"


def check() -> int:
    """Compare the source with the rules and the list of debts; 1 where anything is to be mended."""
    comparison = owed.compare(findings(of_work_tree()), owed.read())
    problems, looked_at = commits.check()
    mended = [f"{_LIST}: mended, but still listed: {debt}" for debt in comparison.paid]
    rules = Counter(finding.debt.rule for finding in comparison.owed)
    still = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items())) or "nothing"
    print(f"House: still owed: {still}; {looked_at}.")
    return (
        _report(comparison.new, f"They are new: mend them. What older code owes is in {_LIST}.")
        | _report(mended, "Run `make house-owed`, which removes mended lines from the list.")
        | _report(problems, "A subject is `scope: imperative`; the reason goes into the body.")
    )


def shrink() -> int:
    """Remove what is mended from the list of debts; 1 where new findings are left."""
    comparison = owed.shrink(findings(of_work_tree()))
    print(f"{_LIST}: {len(comparison.paid)} mended lines were removed, {len(comparison.owed)} are left.")
    return _report(comparison.new, "They are new and were not added to the list: mend them.")


def _report(problems: Sequence[object], advice: str) -> int:
    """Print problems and what to do about them; 1 where there are any."""
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"{len(problems)} to mend. {advice}", file=sys.stderr)
    return 1 if problems else 0


def main() -> int:
    """Check, or with ``--shrink`` shrink the list."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.checks")
    parser.add_argument("--shrink", action="store_true", help="remove what is mended from the list of debts")
    return shrink() if parser.parse_args().shrink else check()


if __name__ == "__main__":
    sys.exit(main())
