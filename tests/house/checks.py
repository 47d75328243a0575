"""Rules that ``make house-check`` holds: nothing new comes in, and what is mended leaves the list of debts.

| rule | holds for | says |
|---|---|---|
| class | product | a public class name exists once |
| docstring | product, tests | the first word is a noun or a verb and opens no clause |
| package | product | the docstring of a package has 5 to 15 lines |
| sentence | product | a sentence in a docstring has at most 25 words |

Commit subjects have a rule of their own in ``commits``; they have no debts, only a first commit.

``owed.txt`` lists what older code still owes, one finding a line: rule, name, opening words. It only ever
shrinks (``make house-owed``). A finding pairs with a line of the same words. Without words it pairs by name.
So what was moved or renamed stays owed. Git merges the file by keeping the lines of both sides
(``.gitattributes``), which may bring back paid lines; ``make house-owed`` removes them.
"""

import argparse
import ast
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.house import commits
from tests.house.tree import Module, Tree, of_work_tree
from tests.house.writing import Docstring, docstrings

PACKAGE_DOCSTRING_LINES = range(5, 16)
FILE = Path(__file__).with_name("owed.txt")
_LIST = f"tests/house/{FILE.name}"
_HEAD = """\
# What older code still owes the house, one finding a line: rule, name, opening words.
# Nothing is added here by hand. Mend something, then run `make house-owed`: it removes the line.
"""


@dataclass(frozen=True)
class Finding:
    """A place where the source breaks a rule, with what to do about it; ``debt`` is its line of the list."""

    debt: str
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
            yield Finding(f"class {name}", place, message)
    for module in tree.product:
        yield from _of_package(module) if module.is_package else ()
    for module in [*tree.product, *tree.tests]:
        for one in docstrings(module):
            if one.begins_with_clause:
                yield _of_docstring(
                    one, "docstring", one.text, "begins with a clause", "begin with a noun or verb"
                )
            for sentence in one.long_sentences() if module in tree.product else ():
                fault = f"has a sentence of {len(sentence.split())} words"
                yield _of_docstring(
                    one, "sentence", sentence, fault, "one sentence, one fact, 25 words at most"
                )


def _of_docstring(one: Docstring, rule: str, text: str, fault: str, advice: str) -> Finding:
    words = _opening(text)
    message = f"docstring of {one.owner} {fault} ({words} ...): {advice}"
    return Finding(f"{rule} {one.owner} | {words}", one.place, message)


def _of_package(module: Module) -> Iterator[Finding]:
    text = ast.get_docstring(module.syntax) or ""
    count = len(text.splitlines())
    if count not in PACKAGE_DOCSTRING_LINES:
        message = f"docstring of package {module.name} has {count} lines, not 5 to 15"
        debt = f"package {module.name} | {_opening(text)}".removesuffix(" | ")
        yield Finding(debt, f"{module.path}:1", f"{message}: say what lives here and who may import it")


def class_places(tree: Tree) -> dict[str, list[str]]:
    """Names of public classes in the product, each with the places that define it."""
    places = defaultdict(list)
    for module in tree.product:
        for name, node in module.definitions:
            is_private = any(part.startswith("_") for part in name.split("."))
            if isinstance(node, ast.ClassDef) and not is_private:
                places[node.name].append(f"{module.path}:{node.lineno}")
    return places


def _opening(text: str) -> str:
    """First words of a text, enough to know it again."""
    return " ".join(text.split()[:8])


def compare(found: Iterable[Finding], debts: Iterable[str]) -> tuple[list[Finding], list[Finding], list[str]]:
    """Pair findings with lines of the list, each once; gives new findings, owed ones, and paid lines."""
    waiting = defaultdict(list)
    for debt in debts:
        waiting[_key(debt)].append(debt)
    new, owed = [], []
    for finding in found:
        lines = waiting[_key(finding.debt)]
        (owed if lines else new).append(finding)
        del lines[-1:]
    return new, owed, [line for lines in waiting.values() for line in lines]


def _key(debt: str) -> tuple[str, str]:
    head, _, words = debt.partition(" | ")
    return head.partition(" ")[0], words or head


def read(file: Path = FILE) -> list[str]:
    """Read the list; comments, blank lines and the markers of a merge conflict are passed over."""
    return re.findall(r"^[a-z]+ \S+(?: \| .+)?$", file.read_text(encoding="utf-8"), re.MULTILINE)


def check() -> int:
    """Compare the source with the rules and the list of debts; 1 where anything is to be mended."""
    new, owed, paid = compare(findings(of_work_tree()), read())
    problems, looked_at = commits.check()
    mended = [f"{_LIST}: mended, but still listed: {debt}" for debt in paid]
    rules = Counter(finding.debt.partition(" ")[0] for finding in owed)
    still = ", ".join(f"{count} {rule}" for rule, count in sorted(rules.items())) or "nothing"
    print(f"House: still owed: {still}; {looked_at}.")
    return (
        _report(new, f"They are new: mend them. What older code owes is in {_LIST}.")
        | _report(mended, "Run `make house-owed`, which removes mended lines from the list.")
        | _report(problems, "A subject is `scope: imperative`; the reason goes into the body.")
    )


def shrink(tree: Tree, file: Path = FILE) -> int:
    """Remove what is mended from the list and refresh its names; 1 where new findings are left."""
    new, owed, paid = compare(findings(tree), read(file))
    # Sorted, so that two branches change the same lines in the same places.
    debts = sorted(finding.debt for finding in owed)
    file.write_text(_HEAD + "".join(f"{debt}\n" for debt in debts), encoding="utf-8")
    print(f"{_LIST}: {len(paid)} mended lines were removed, {len(debts)} are left.")
    return _report(new, "They are new and were not added to the list: mend them.")


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
    return shrink(of_work_tree()) if parser.parse_args().shrink else check()


if __name__ == "__main__":
    sys.exit(main())
