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
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.house import rooms
from tests.house.checks import class_places
from tests.house.tree import Definition, Module, NoTreeError, Tree, of_revision, of_work_tree
from tests.house.writing import docstrings, length, total

LONG_FILE_LINES = 400


@dataclass(frozen=True)
class Bar:
    """Goal of a figure: a bound for the figure itself, or for its difference from the base."""

    bound: float
    at_least: bool = False
    of_difference: bool = False

    def is_met(self, value: float) -> bool:
        """Compare the figure, or its difference, with the bound."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``remark`` says where the value is found."""

    name: str
    value: float
    unit: str = ""
    bar: Bar | None = None
    remark: str = ""


def figures(tree: Tree) -> list[Figure]:
    """All figures of one tree, always the same ones but for the names of the packages."""
    return [*_rooms(tree), *_names_and_sentences(tree), *_size(tree)]


def _rooms(tree: Tree) -> list[Figure]:
    held = rooms.rooms(tree.product)
    fullest, most = held.most_common(1)[0] if held else ("", 0)
    between = rooms.imports(tree.product)
    inside = rooms.inside_packages(tree.product, between)
    upward = rooms.upward(tree, between)
    circles = [circle for one in inside for circle in rooms.circles(one.arrows)]
    found = [
        Figure("modules", len(tree.product)),
        Figure("rooms", len(held)),
        Figure("most modules in a room", most, bar=Bar(14), remark=fullest),
        Figure("arrows from room to room", len(rooms.between_rooms(tree.product, between))),
    ]
    for one in inside:
        if "." not in one.package:
            found += [
                Figure(f"{one.package}: parts", len(one.parts)),
                Figure(f"{one.package}: arrows between parts", len(one.arrows)),
                Figure(f"{one.package}: floors", rooms.floors(one)),
            ]
    return [
        *found,
        Figure("layers contracts", rooms.contracts(tree)),
        Figure("arrows upward", len(upward), bar=Bar(0), remark=_some(f"{a} -> {b}" for a, b in upward)),
        Figure("circles", len(circles), bar=Bar(0), remark=_some(" <-> ".join(circle) for circle in circles)),
    ]


def _names_and_sentences(tree: Tree) -> list[Figure]:
    doubled = {name: places for name, places in class_places(tree).items() if len(places) > 1}
    most_used = sorted(doubled, key=lambda name: -len(doubled[name]))
    return [
        Figure(
            "class names that exist twice",
            len(doubled),
            bar=Bar(0),
            remark=_some(f"{name} {len(doubled[name])}" for name in most_used),
        ),
        *_sentences("product", tree.product),
        *_sentences("tests", [module for module in tree.tests if not module.is_frozen]),
    ]


def _sentences(name: str, modules: Sequence[Module]) -> list[Figure]:
    found = [docstring for module in modules for docstring in docstrings(module)]
    clauses = sum(docstring.begins_with_clause for docstring in found)
    long = sum(len(docstring.long_sentences()) for docstring in found)
    return [
        Figure(f"docstrings, {name}", len(found)),
        _share(f"docstrings with a clause first, {name}", clauses, len(found), Bar(0)),
        Figure(f"sentences over 25 words, {name}", long),
    ]


def _size(tree: Tree) -> list[Figure]:
    product, tests = total(tree.product), total(tree.tests)
    frozen = total([module for module in tree.tests if module.is_frozen])
    functions = [
        (length(named.node), f"{module.path}:{named.node.lineno}")
        for module in tree.product
        for named in module.definitions
        if _is_function(named.node)
    ]
    longest, place = max(functions, default=(0, ""))
    return [
        Figure("lines of code, product", product.code, bar=Bar(-1500, of_difference=True)),
        Figure("lines of code, tests", tests.code, bar=Bar(-3000, of_difference=True)),
        Figure("of these frozen copies", frozen.code),
        Figure("comment lines, product", product.comment),
        _share("comment lines, product", product.comment, product.all, Bar(2, at_least=True)),
        Figure("comments behind code, product", product.comment_behind_code),
        Figure("functions, product", len(functions)),
        Figure("longest function", longest, "lines", remark=place),
        _long_files("product", tree.product),
        _long_files("tests", tree.tests),
    ]


def _share(name: str, part: int, whole: int, bar: Bar) -> Figure:
    return Figure(name, 100 * part / whole if whole else 0, "%", bar)


def _long_files(name: str, modules: Sequence[Module]) -> Figure:
    long = [module.path for module in modules if total([module]).all > LONG_FILE_LINES]
    return Figure(f"files over {LONG_FILE_LINES} lines, {name}", len(long), remark=_some(long))


def _is_function(node: Definition) -> bool:
    return type(node).__name__ != "ClassDef"


def _some(texts: Iterable[str]) -> str:
    """First of the texts, as many as a line takes."""
    listed = list(texts)
    return ", ".join(listed[:4]) + (f" and {len(listed) - 4} more" if len(listed) > 4 else "")


def table(now: Sequence[Figure], base: Sequence[Figure] = (), base_name: str = "") -> list[str]:
    """Lines of the table; with a base its figures, the differences and the bars beside today's."""
    before = {(figure.name, figure.unit): figure for figure in base}
    rows = [["", base_name, "now", "difference", "bar", ""] if base else ["", "now", "bar", ""]]
    for key, figure in (dict.fromkeys(before) | {(one.name, one.unit): one for one in now}).items():
        old = before.get(key)
        label = f"{key[0]} ({key[1]})" if key[1] else key[0]
        difference = figure.value - old.value if figure and old else None
        row = [label, _number(figure), *_verdict(figure, difference)]
        if base:
            row[1:1] = [_number(old)]
            row[3:3] = ["" if difference is None else _signed(difference)]
        rows.append([*row, figure.remark if figure else ""])
    return _aligned(rows)


def _number(figure: Figure | None) -> str:
    if figure is None:
        return "-"
    return f"{figure.value:.1f}" if figure.unit == "%" else f"{figure.value:,.0f}"


def _signed(value: float) -> str:
    return f"{value:+,.0f}" if value == int(value) else f"{value:+,.1f}"


def _verdict(figure: Figure | None, difference: float | None) -> list[str]:
    """Bar and whether it is met, in one cell."""
    if not figure or not figure.bar:
        return [""]
    bar = figure.bar
    sign = ">=" if bar.at_least else "<="
    text = f"{sign} {_signed(bar.bound) if bar.of_difference else format(bar.bound, 'g')}"
    value = difference if bar.of_difference else figure.value
    if value is None:
        return [text]
    return [f"{text} {'ok' if bar.is_met(value) else 'open'}"]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of equal width, the figures to the right; the remarks at the end run on."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:], strict=True)),
            row[-1],
        ]).rstrip()
        for row in rows
    ]  # fmt: skip


def main() -> int:
    """Print the figures; 2 where the base cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.figures")
    parser.add_argument(
        "--base", metavar="REV", help="print the figures of this revision beside those of now"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    try:
        base = figures(of_revision(options.base)) if options.base else []
    except NoTreeError as error:
        print(error, file=sys.stderr)
        return 2
    now = figures(of_work_tree())
    if options.json:
        print(json.dumps({"now": _plain(now), "base": _plain(base)}, indent=1))
    else:
        print("\n".join(table(now, base, options.base or "")))
    return 0


def _plain(found: Sequence[Figure]) -> list[dict[str, object]]:
    """Figures as JSON has them, without their bars."""
    return [
        {"name": one.name, "unit": one.unit, "value": round(one.value, 2), "remark": one.remark}
        for one in found
    ]


if __name__ == "__main__":
    sys.exit(main())
