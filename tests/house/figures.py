"""Table of the house: how many rooms, arrows, doubled names and comments there are, now and before.

``make house BASE=312fabb`` prints it. The bars are those of the issue that built this house.

The issue states figures for 312fabb, and the counting follows from them:

- 400 modules have ``__init__.py`` among them; the 39 modules of the fullest room do not.
- ``collector`` has 41 parts, 138 arrows and 11 floors; ``agent`` has 41 parts and 106 arrows.
- 70 public class names exist twice, with classes inside classes.
- 26 % of docstrings begin with a clause where *why* is a clause word, too.
- 0.4 % of *all* lines are comment lines. A comment behind code is counted apart.

A function's length is from ``def`` to its last line. ``rooms`` defines parts, arrows, circles and *upward*.
"""

import argparse
import ast
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.house import rooms
from tests.house.checks import class_places
from tests.house.tree import Module, NoTreeError, Tree, of_revision, of_work_tree
from tests.house.writing import docstrings, lines, total

LONG_FILE_LINES = 400


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``remark`` says where the value is found.

    ``bar`` is a bound of the value as in ``<= 14``, or with a sign one of its difference from the base.
    """

    name: str
    value: float
    bar: str = ""
    remark: str = ""

    def __str__(self) -> str:
        """Write the value; a share has one decimal."""
        return f"{self.value:.1f}" if self.name.endswith("(%)") else f"{self.value:,.0f}"


def figures(tree: Tree) -> list[Figure]:
    """All figures of one tree, always the same ones but for the names of the packages."""
    return [*_rooms(tree), *_names_and_sentences(tree), *_size(tree)]


def _rooms(tree: Tree) -> list[Figure]:
    room = {module.name: module.room for module in tree.product}
    held = Counter(module.room for module in tree.product if not module.is_package)
    fullest, most = held.most_common(1)[0] if held else ("", 0)
    between = rooms.imports(tree.product)
    joined = {(room[a], room[b]) for a, b in between if room[a] != room[b]}
    parts = rooms.parts(tree.product)
    arrows = {package: rooms.arrows(package, between) for package in sorted(parts)}
    circles = [circle for inside in arrows.values() for circle in rooms.circles(inside)]
    contracts = rooms.contracts(tree)
    upward = {arrow for layers in contracts for arrow in rooms.upward(layers, between)}
    found = [
        Figure("modules", len(tree.product)),
        Figure("rooms", len(held)),
        Figure("most modules in a room", most, "<= 14", fullest),
        Figure("arrows from room to room", len(joined)),
    ]
    for package, inside in arrows.items():
        if "." not in package:
            found += [
                Figure(f"{package}: parts", len(parts[package])),
                Figure(f"{package}: arrows between parts", len(inside)),
                Figure(f"{package}: floors", rooms.floors(parts[package], inside)),
            ]
    return [
        *found,
        Figure("layers contracts", len(contracts)),
        Figure("arrows upward", len(upward), "<= 0", _some(f"{a} -> {b}" for a, b in upward)),
        Figure("circles", len(circles), "<= 0", _some(" <-> ".join(circle) for circle in circles)),
    ]


def _names_and_sentences(tree: Tree) -> list[Figure]:
    doubled = Counter({name: len(at) for name, at in class_places(tree).items() if len(at) > 1})
    often = _some(f"{name} {count}" for name, count in doubled.most_common())
    found = [Figure("class names that exist twice", len(doubled), "<= 0", often)]
    tests = [module for module in tree.tests if not module.is_frozen]
    for name, modules in (("product", tree.product), ("tests", tests)):
        texts = [docstring for module in modules for docstring in docstrings(module)]
        clauses = sum(docstring.begins_with_clause for docstring in texts)
        long = sum(len(docstring.long_sentences()) for docstring in texts)
        found += [
            Figure(f"docstrings, {name}", len(texts)),
            Figure(f"docstrings with a clause first, {name} (%)", _percent(clauses, len(texts)), "<= 0"),
            Figure(f"sentences over 25 words, {name}", long),
        ]
    return found


def _size(tree: Tree) -> list[Figure]:
    product, tests = total(tree.product), total(tree.tests)
    frozen = total(module for module in tree.tests if module.is_frozen)
    functions = [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{module.path}:{node.lineno}")
        for module in tree.product
        for _, node in module.definitions
        if not isinstance(node, ast.ClassDef)
    ]
    longest, place = max(functions, default=(0, ""))
    comments = _percent(product["comment"], product["all"])
    return [
        Figure("lines of code, product", product["code"], "<= -1,500"),
        Figure("lines of code, tests", tests["code"], "<= -3,000"),
        Figure("of these frozen copies", frozen["code"]),
        Figure("comment lines, product", product["comment"]),
        Figure("comment lines, product (%)", comments, ">= 2"),
        Figure("comments behind code, product", product["behind"]),
        Figure("functions, product", len(functions)),
        Figure("longest function (lines)", longest, remark=place),
        _long_files("product", tree.product),
        _long_files("tests", tree.tests),
    ]


def _long_files(name: str, modules: Sequence[Module]) -> Figure:
    long = [module.path for module in modules if lines(module)["all"] > LONG_FILE_LINES]
    return Figure(f"files over {LONG_FILE_LINES} lines, {name}", len(long), remark=_some(long))


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0


def _some(texts: Iterable[str]) -> str:
    """First of the texts, as many as a line takes."""
    listed = list(texts)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")


def table(now: Sequence[Figure], base: Sequence[Figure] = (), base_name: str = "") -> list[str]:
    """Lines of the table; with a base its figures, the differences and the bars beside today's."""
    today, before = ({figure.name: figure for figure in found} for found in (now, base))
    rows = [["", base_name, "now", "difference", "bar", ""]]
    for name in before | today:
        new, old = today.get(name), before.get(name)
        difference = new.value - old.value if new and old else None
        signed = "" if difference is None else f"{difference:+,.{int(difference % 1 > 0)}f}"
        verdict, remark = (_verdict(new, difference), new.remark) if new else ("", "")
        rows.append([name, str(old or "-"), str(new or "-"), signed, verdict, remark])
    shown = range(1, 5) if base else (2, 4)
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(row[column].rjust(widths[column]) for column in shown), row[5]]
        ).rstrip()
        for row in rows
    ]


def _verdict(figure: Figure, difference: float | None) -> str:
    """Bar and whether it is met, in one cell."""
    if not figure.bar:
        return ""
    sign, text = figure.bar.split()
    bound = float(text.replace(",", ""))
    value = difference if bound < 0 else figure.value
    if value is None:
        return figure.bar
    return f"{figure.bar} {'ok' if (value <= bound if sign == '<=' else value >= bound) else 'open'}"


def main() -> int:
    """Print the figures; 2 where the base cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.figures")
    parser.add_argument("--base", metavar="REV", help="print the figures of this revision beside today's")
    options = parser.parse_args()
    try:
        base = figures(of_revision(options.base)) if options.base else []
    except NoTreeError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(table(figures(of_work_tree()), base, options.base or "")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
