"""Tests of the table: its figures from source text, the bars, and the columns with and without a base."""

import io
import tokenize

import pytest

from tests.house import figures, rooms
from tests.house.figures import Figure
from tests.house.tree import Module, NoTreeError, Tree, of_revision, of_work_tree
from tests.house.writing import docstrings, lines

LAYERS = """
[[tool.importlinter.contracts]]
type = "layers"
containers = ["p"]
layers = ["top", "left | right", "(one) : other", "low"]
"""
THIRTEEN = " ".join(["word"] * 13)


def tree(**imports: str) -> Tree:
    """Make a tree of modules ``p/…`` from the imports of each; ``__`` stands for a dot."""
    files = {"p/__init__.py": "", "pyproject.toml": LAYERS, "setup.py": "", "deploy/script.py": ""}
    for name, text in imports.items():
        parts = name.split("__")
        for depth in range(1, len(parts)):
            files["/".join(["p", *parts[:depth], "__init__.py"])] = ""
        files["/".join(["p", *parts]) + ".py"] = text
    return Tree(files)


def test_the_figures_of_the_issue_come_out_again() -> None:
    try:
        found = {one.name: str(one) for one in figures.figures(of_revision("312fabb"))}
    except NoTreeError as error:
        pytest.skip(str(error))
    issue = {
        "modules": "400",
        "most modules in a room": "39",
        "collector: parts": "41",
        "collector: arrows between parts": "138",
        "collector: floors": "11",
        "agent: arrows between parts": "106",
        "circles": "3",
        "class names that exist twice": "70",
        "docstrings with a clause first, product (%)": "25.6",
        "sentences over 25 words, product": "206",
        "lines of code, product": "35,818",
        "comment lines, product (%)": "0.4",
        "functions, product": "3,548",
        "longest function (lines)": "57",
    }
    assert found | issue == found


def test_an_empty_tree_has_figures_and_an_unknown_revision_says_what_to_do() -> None:
    assert {figure.value for figure in figures.figures(Tree({}))} == {0}
    with pytest.raises(NoTreeError, match=r"cannot read revision no-such-commit .*git fetch --unshallow"):
        of_revision("no-such-commit")


def test_the_table_has_a_base_beside_today() -> None:
    now = [
        Figure("rooms", 60, "<= 14", "lab"),
        Figure("clauses (%)", 12.5, "<= 0"),
        Figure("code", 34_318, "<= -1,500"),
        Figure("comments", 2, ">= 2"),
        Figure("new", 1),
    ]
    base = [Figure("rooms", 28), Figure("clauses (%)", 25.6), Figure("code", 35_818), Figure("gone", 3)]
    assert figures.table(now, base, "312fabb") == [
        "             312fabb     now  difference           bar",
        "rooms             28      60         +32    <= 14 open  lab",
        "clauses (%)     25.6    12.5       -13.1     <= 0 open",
        "code          35,818  34,318      -1,500  <= -1,500 ok",
        "gone               3       -",
        "comments           -       2                   >= 2 ok",
        "new                -       1",
    ]
    assert figures.table(now)[3] == "code         34,318   <= -1,500"


def test_arrows_circles_and_floors() -> None:
    found = tree(
        one__a="from ..two.c import d\nimport os, p.one.b", one__b="import p.two.c", two__c="import p"
    )
    between = rooms.imports(found.product)
    assert rooms.arrows("p", between) == {("p.one", "p.two")}
    assert rooms.arrows("p.one", between) == {("p.one.a", "p.one.b")}
    circling = {("d", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "z"), ("x", "y"), ("y", "x")}
    assert rooms.circles(circling) == [["a", "b", "c"], ["x", "y"]]
    assert rooms.floors("abcdxyz", circling) == 3


@pytest.mark.parametrize(("importing", "imported", "is_upward"), [
    ("low__a", "top__b", True),
    ("top__a", "low__b", False),
    ("left__a", "right__b", True),
    ("one__a", "other__b", False),
    ("left__a", "left__b", False),
    ("low__a", "elsewhere__b", False),
])  # fmt: skip
def test_upward(importing: str, imported: str, is_upward: bool) -> None:
    found = tree(**{importing: "import p." + imported.replace("__", "."), imported: ""})
    (layers,) = rooms.contracts(found)
    assert bool(rooms.upward(layers, rooms.imports(found.product))) is is_upward


def test_comments_are_those_that_python_sees() -> None:
    for one in of_work_tree().product[::10]:
        tokens = tokenize.generate_tokens(io.StringIO(one.text).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        counted = lines(one)
        assert counted["comment"] + counted["behind"] == len(comments), one.path


@pytest.mark.parametrize(("text", "begins_with_clause", "long_sentences"), [
    ("What it is.", True, 0),
    ("``Whether`` it is.", True, 0),
    ("*Of* it.", True, 0),
    ("Whatsoever it is.", False, 0),
    ("``make test``: what it runs.", False, 0),
    ("42.", False, 0),
    (f"Begin {THIRTEEN}\n{THIRTEEN}, still the same.", False, 1),
    (f"Begin {THIRTEEN}. And {THIRTEEN}.", False, 0),
    (f"Begin {THIRTEEN}\n\n{THIRTEEN}", False, 0),
    (f"- {THIRTEEN}\n- {THIRTEEN}", False, 0),
    (f"| {THIRTEEN} | {THIRTEEN} |", False, 0),
    (f"=== ===\n{THIRTEEN} {THIRTEEN}\n=== ===", False, 0),
    (f"Begin::\n\n    {THIRTEEN} {THIRTEEN}\n\nEnd.", False, 0),
])  # fmt: skip
def test_a_docstring(text: str, begins_with_clause: bool, long_sentences: int) -> None:
    (found,) = docstrings(Module("p/m.py", f'class A:\n    def f(self):\n        """{text}"""\n'))
    assert (found.owner, found.place) == ("A.f", "p/m.py:3")
    assert (found.begins_with_clause, len(found.long_sentences())) == (begins_with_clause, long_sentences)
