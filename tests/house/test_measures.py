"""Tests of what is read from source text: modules, imports between rooms, lines and docstrings."""

import io
import subprocess
import tokenize

import pytest

from tests.house import rooms
from tests.house.tree import ROOT, Module, NoTreeError, Tree, of_revision, of_work_tree
from tests.house.writing import Docstring, Lines, docstrings, length, lines

LAYERS = """
[[tool.importlinter.contracts]]
type = "layers"
layers = ["p.top", "p.left | p.right", "p.one : p.other", "p.low"]
"""


def module(text: str, name: str = "p.m") -> Module:
    return Module(name, name.replace(".", "/") + ".py", text)


def tree(**imports: str) -> Tree:
    """Make a tree of modules ``p/…`` from the imports of each; ``__`` stands for a dot."""
    files = {"p/__init__.py": "", "pyproject.toml": LAYERS}
    for name, text in imports.items():
        parts = name.split("__")
        for depth in range(1, len(parts)):
            files["/".join(["p", *parts[:depth], "__init__.py"])] = ""
        files["/".join(["p", *parts]) + ".py"] = text
    return Tree(files)


def first(text: str) -> Docstring:
    return next(docstrings(module(text)))


def test_modules_are_named_from_their_topmost_package() -> None:
    files = dict.fromkeys(
        ["a/__init__.py", "a/b.py", "lab/a2/__init__.py", "lab/a2/c/__init__.py", "tests/__init__.py",
         "tests/test_b.py", "deploy/script.py", "setup.py"], "",
    )  # fmt: skip
    found = Tree(files)
    assert [one.name for one in found.product] == ["a", "a.b", "a2", "a2.c"]
    assert [one.name for one in found.tests] == ["tests", "tests.test_b"]
    assert [one.room for one in found.product] == ["a", "a", "a2", "a2.c"]


def test_a_frozen_copy_is_not_edited() -> None:
    names = ["tests", "tests/versions", "tests/versions/v0_1"]
    found = Tree(dict.fromkeys([f"{name}/__init__.py" for name in names], ""))
    assert [one.name for one in found.edited] == ["tests", "tests.versions"]


def test_definitions_have_names_inside_their_module() -> None:
    found = module(
        "class A:\n    class B: pass\n    class _C:\n        class D: pass\n    def f(self): pass\n"
        "if True:\n    class E: pass\ndef _g():\n    class F: pass\n"
    ).definitions
    assert [one.qualified for one in found] == ["A", "A.B", "A._C", "A._C.D", "A.f", "E", "_g", "_g.F"]
    assert [one.qualified for one in found if one.is_public_class] == ["A", "A.B", "E"]


def test_the_work_tree_has_this_module() -> None:
    assert __name__ in [one.name for one in of_work_tree().tests]


def test_a_revision_has_its_files_and_an_unknown_one_says_what_to_do() -> None:
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("this is no git repository with commits")
    assert "agent" in {one.package for one in of_revision("HEAD").product}
    with pytest.raises(NoTreeError, match=r"cannot read revision no-such-commit .*git fetch --unshallow"):
        of_revision("no-such-commit")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import p.b", {"p.b"}),
        ("from p import b", {"p.b"}),
        ("from p.b import Name", {"p.b"}),
        ("from . import b", {"p.b"}),
        ("from .b import Name", {"p.b"}),
        ("def f():\n    import p.b", {"p.b"}),
        ("from p import Name", {"p"}),
        ("import os, p.a", set()),
    ],
)
def test_imports(text: str, expected: set[str]) -> None:
    assert rooms.imports(tree(a=text, b="").product) == {("p.a", name) for name in expected}


def test_a_relative_import_of_a_nested_package() -> None:
    found = tree(one__a="from ..two.b import Name", two__b="")
    assert rooms.imports(found.product) == {("p.one.a", "p.two.b")}


def test_rooms_are_folders_with_modules() -> None:
    found = tree(a="", b="", deep__er__c="")
    assert rooms.rooms(found.product) == {"p": 2, "p.deep.er": 1}


def test_arrows_are_distinct_and_between_parts() -> None:
    found = tree(
        one__a="import p.two.c, p.one.b", one__b="import p.two.c, p.two.d", two__c="", two__d="import p"
    ).product
    between = rooms.imports(found)
    assert rooms.between_rooms(found, between) == {("p.one", "p.two"), ("p.two", "p")}
    inside = {one.package: one for one in rooms.inside_packages(found, between)}
    assert inside["p"].parts == {"p.one", "p.two"}
    assert inside["p"].arrows == {("p.one", "p.two")}
    assert inside["p.one"].arrows == {("p.one.a", "p.one.b")}
    assert inside["p.two"].arrows == set()


def test_circles_and_floors() -> None:
    arrows = {("d", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "z"), ("x", "y"), ("y", "x")}
    assert rooms.circles(arrows) == [["a", "b", "c"], ["x", "y"]]
    assert rooms.floors(rooms.Inside("p", frozenset("abcdxyz"), frozenset(arrows))) == 3
    assert rooms.circles({("a", "b"), ("b", "c"), ("a", "c")}) == []
    assert rooms.floors(rooms.Inside("p", frozenset("ab"), frozenset())) == 1
    assert rooms.floors(rooms.Inside("p", frozenset(), frozenset())) == 0


@pytest.mark.parametrize(
    ("importing", "imported", "is_upward"),
    [
        ("low__a", "top__b", True),
        ("top__a", "low__b", False),
        ("left__a", "right__b", True),
        ("one__a", "other__b", False),
        ("left__a", "left__b", False),
        ("low__a", "elsewhere__b", False),
    ],
)
def test_upward(importing: str, imported: str, is_upward: bool) -> None:
    text = "import p." + imported.replace("__", ".")
    found = tree(**{importing: text, imported: ""})
    ends = ("p." + importing.partition("__")[0], "p." + imported.partition("__")[0])
    assert rooms.upward(found, rooms.imports(found.product)) == ({ends} if is_upward else set())


def test_layers_have_the_names_of_their_container() -> None:
    found = tree(low__a="import p.top.b", top__b="")
    settings = (
        '[[tool.importlinter.contracts]]\ntype = "layers"\ncontainers = ["p"]\nlayers = ["top", "(low)"]\n'
    )
    found.files["pyproject.toml"] = settings
    assert rooms.contracts(found) == 1
    assert rooms.upward(found, rooms.imports(found.product)) == {("p.low", "p.top")}


def test_lines_of_code_comment_and_docstring() -> None:
    text = '"""Of no\n\n# account."""\n\n# alone\nx = """\n# a string\n"""  # behind\n\ny = "#"\n'
    assert lines(module(text)) == Lines(all=10, code=4, comment=1, comment_behind_code=1)
    assert lines(module("")) == Lines()


def test_comments_are_those_that_python_sees() -> None:
    for one in of_work_tree().product[::10]:
        tokens = tokenize.generate_tokens(io.StringIO(one.text).readline)
        comments = [token for token in tokens if token.type == tokenize.COMMENT]
        counted = lines(one)
        assert counted.comment + counted.comment_behind_code == len(comments), one.path


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ('"""What it is."""', True),
        ('"""``Whether`` it is."""', True),
        ('"""*Of* it."""', True),
        ('"""Whatsoever it is."""', False),
        ('"""A name."""', False),
        ('"""``make test``: what it runs."""', False),
        ('"""42."""', False),
    ],
)
def test_a_docstring_that_begins_with_a_clause(text: str, clause: bool) -> None:
    assert first(text).begins_with_clause is clause


def test_docstrings_have_owner_and_place() -> None:
    found = list(
        docstrings(module('class A:\n    def f(self):\n        """One."""\n\n    def g(self): ...\n'))
    )
    assert [(one.owner, one.place) for one in found] == [("A.f", "p/m.py:3")]


WORDS = " ".join(["word"] * 13)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (f"Begin {WORDS} {WORDS}.", 1),
        (f"Begin {WORDS}\n{WORDS}, still the same.", 1),
        (f"Begin {WORDS}. And {WORDS}.", 0),
        (f"Begin {WORDS}\n\n{WORDS}", 0),
        (f"- {WORDS}\n- {WORDS}", 0),
        (f"| {WORDS} | {WORDS} |", 0),
        (f"=== ===\n{WORDS} {WORDS}\n=== ===", 0),
        (f"Begin::\n\n    {WORDS} {WORDS}\n\nEnd.", 0),
    ],
)
def test_long_sentences(text: str, count: int) -> None:
    assert len(first(f'"""{text}"""').long_sentences()) == count


def test_a_function_is_measured_without_its_decorators() -> None:
    node = module("@a\n@b\ndef f():\n    return (\n        1)\n").definitions[0].node
    assert length(node) == 3
