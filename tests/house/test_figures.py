"""Tests of the table: its figures, the bars, and the columns with and without a base."""

import json

import pytest

from tests.house import figures
from tests.house.figures import Bar, Figure
from tests.house.tree import NoTreeError, Tree, of_revision


def values(tree: Tree) -> dict[tuple[str, str], float]:
    return {(figure.name, figure.unit): figure.value for figure in figures.figures(tree)}


def test_the_figures_of_the_issue_come_out_again() -> None:
    try:
        found = values(of_revision("312fabb"))
    except NoTreeError as error:
        pytest.skip(str(error))
    assert found["modules", ""] == 400
    assert found["most modules in a room", ""] == 39
    assert found["collector: arrows between parts", ""] == 138
    assert found["agent: arrows between parts", ""] == 106
    assert found["collector: floors", ""] == 11
    assert found["class names that exist twice", ""] == 70
    assert found["functions, product", ""] == 3548
    assert found["longest function", "lines"] == 57
    assert round(found["docstrings with a clause first, product", "%"]) == 26
    assert round(found["comment lines, product", "%"], 1) == 0.4


def test_an_empty_tree_has_figures() -> None:
    found = values(Tree({}))
    assert found["modules", ""] == found["longest function", "lines"] == 0


@pytest.mark.parametrize(
    ("bar", "number", "met"),
    [
        (Bar(14), 14, True),
        (Bar(14), 15, False),
        (Bar(2, at_least=True), 2, True),
        (Bar(2, at_least=True), 1.9, False),
        (Bar(-1500, of_difference=True), -1500, True),
        (Bar(-1500, of_difference=True), -1499, False),
    ],
)
def test_a_bar(bar: Bar, number: float, met: bool) -> None:
    assert bar.is_met(number) is met


def test_the_table_has_a_base_beside_today() -> None:
    now = [
        Figure("rooms", 60, bar=Bar(14), remark="lab"),
        Figure("clauses", 12.5, "%", Bar(0)),
        Figure("code", 34_000, bar=Bar(-1500, of_difference=True)),
        Figure("new", 1),
    ]
    base = [Figure("rooms", 28), Figure("clauses", 25.6, "%"), Figure("code", 35_818), Figure("gone", 3)]
    assert figures.table(now, base, "312fabb") == [
        "             312fabb     now  difference           bar",
        "rooms             28      60         +32    <= 14 open  lab",
        "clauses (%)     25.6    12.5       -13.1     <= 0 open",
        "code          35,818  34,000      -1,818  <= -1,500 ok",
        "gone               3       -",
        "new                -       1",
    ]
    assert figures.table(now)[3] == "code         34,000   <= -1,500"


def test_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["figures", "--json"])
    monkeypatch.setattr(figures, "of_work_tree", lambda: Tree({"p/__init__.py": ""}))
    assert figures.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert told["base"] == []
    assert told["now"][0] == {"name": "modules", "unit": "", "value": 1, "remark": ""}


def test_a_base_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["figures", "--base", "no-such-commit"])
    assert figures.main() == 2
    assert "cannot read revision no-such-commit" in capsys.readouterr().err
