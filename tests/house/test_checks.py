"""Tests of the rules, of the list of debts, and of commit subjects."""

import subprocess
from pathlib import Path

import pytest

from tests.house import checks, commits, owed
from tests.house.owed import Debt, Finding
from tests.house.tree import Tree


def found(*debts: Debt) -> list[Finding]:
    return [Finding(debt, "a.py:1", "is wrong") for debt in debts]


def test_the_repository_keeps_its_own_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.check() == 0, capsys.readouterr().err


def test_findings_say_where_what_and_what_to_do() -> None:
    clause = 'class Twice:\n    def f(self):\n        """What it does, in more than eight words of text."""\n'
    files = {
        "p/__init__.py": '"""One line."""\n',
        "p/a.py": "class Twice:\n    pass\n",
        "p/b.py": "class Twice:\n    pass\n",
        "tests/__init__.py": "",
        "tests/a.py": clause,
        "tests/versions/__init__.py": "",
        "tests/versions/v1/__init__.py": '"""What was written once."""\n',
    }
    one, other, docstring, package = (str(finding) for finding in checks.findings(Tree(files)))
    assert one == "p/a.py:1: class Twice exists 2 times (p/b.py:1): give it a name of its own"
    assert other == "p/b.py:1: class Twice exists 2 times (p/a.py:1): give it a name of its own"
    assert docstring == (
        "tests/a.py:3: docstring of Twice.f begins with a clause"
        " (What it does, in more than eight words ...): begin with a noun or verb"
    )
    assert package == (
        "p/__init__.py:1: docstring of package p has 1 lines, not 5 to 15:"
        " say what lives here, what may not, and who may import it"
    )


def test_a_long_sentence_is_found_in_the_product_alone() -> None:
    text = '"""Begin' + " word" * 25 + '."""\n'
    tree = Tree({"p/__init__.py": "", "p/a.py": text, "tests/__init__.py": "", "tests/a.py": text})
    (finding,) = checks.long_sentences(tree)
    assert finding.place == "p/a.py:1"
    assert finding.debt == Debt("sentence", "p.a", "Begin word word word word word word word")


def test_a_package_without_docstring_has_a_place() -> None:
    (finding,) = checks.packages(Tree({"p/__init__.py": ""}))
    assert (finding.place, finding.debt) == ("p/__init__.py:1", Debt("package", "p"))


def test_a_finding_without_a_line_is_new_and_a_line_without_a_finding_is_paid() -> None:
    old, new = Debt("docstring", "A.f", "What it is"), Debt("docstring", "B.g", "How it is")
    result = owed.compare(found(new), [old])
    assert ([one.debt for one in result.new], result.owed, result.paid) == ([new], [], [old])


@pytest.mark.parametrize(
    "debt", [Debt("docstring", "Renamed.f", "What it is"), Debt("docstring", "A.f", "What it has become")]
)
def test_a_renamed_object_and_a_reworded_text_stay_owed(debt: Debt) -> None:
    result = owed.compare(found(debt), [Debt("docstring", "A.f", "What it is")])
    assert ([one.debt for one in result.owed], result.new, result.paid) == ([debt], [], [])


def test_a_line_pairs_once_and_only_with_its_own_rule() -> None:
    twice = Debt("class", "Told")
    assert len(owed.compare(found(twice, twice, twice), [twice, twice]).new) == 1
    assert owed.compare(found(Debt("class", "Kind")), [twice]).paid == [twice]
    assert owed.compare(found(Debt("sentence", "A", "What")), [Debt("docstring", "A", "What")]).owed == []


def test_the_best_pair_is_taken_first() -> None:
    exact, moved = Debt("docstring", "A.f", "What it is"), Debt("docstring", "B.f", "What it is")
    result = owed.compare(found(moved, exact), [exact, Debt("docstring", "B.f", "How it was")])
    assert (result.new, result.paid) == ([], [])


def test_the_list_only_shrinks(tmp_path: Path) -> None:
    file = tmp_path / "owed.txt"
    kept, paid = Debt("docstring", "A.f", "What | it is"), Debt("class", "Told")
    owed.write([kept, paid], file)
    renamed = Debt("docstring", "B.f", "What | it is")
    result = owed.shrink(found(renamed, Debt("class", "Kind")), file)
    assert (len(result.owed), result.paid, len(result.new)) == (1, [paid], 1)
    assert owed.read(file) == [renamed]


def test_markers_of_a_conflict_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "owed.txt"
    file.write_text(
        "# head\n<<<<<<< HEAD\nclass A\n=======\nclass B\n>>>>>>> other branch\n\npackage p | One line.\n"
    )
    assert owed.read(file) == [Debt("class", "A"), Debt("class", "B"), Debt("package", "p", "One line.")]


@pytest.mark.parametrize(
    "subject",
    [
        "outages: write the state file after the record is committed",
        "agent, peer: share the outbox",
        "README: say how long all tests take",
        "ledger/write: need no lock",
        "probes: pass the context, not its parts",
        "x: " + "a" * 69,
    ],
)
def test_a_good_subject(subject: str) -> None:
    assert commits.problem(subject) is None


@pytest.mark.parametrize(
    ("subject", "problem"),
    [
        ("x: " + "a" * 70, "73 characters, 72 at most"),
        ("Write the state file later", "no scope"),
        ("Evidence: How it was counted", "not a verb in lower case"),
        ("outages: the file is written later", "'the' is no verb"),
        ("outages: what is written", "'what' is no verb"),
        ("outages: fixed the file", "'fixed' is no imperative"),
        ("outages: fixing the file", "'fixing' is no imperative"),
        ("outages: fixes the file", "'fixes' is no imperative"),
        ("fixup! outages: write the file", "no scope"),
    ],
)
def test_a_bad_subject(subject: str, problem: str) -> None:
    said = commits.problem(subject)
    assert said is not None
    assert problem in said


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Repository with three commits and a merge; the first commit has the tag ``first``."""
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit(root, "Whatever came before")
    git(root, "tag", "first")
    git(root, "checkout", "--quiet", "-b", "other")
    commit(root, "house: add a check")
    git(root, "checkout", "--quiet", "main")
    commit(root, "Added a check")
    git(root, "merge", "--quiet", "--no-edit", "other")
    return root


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path, subject: str) -> None:
    git(root, "commit", "--quiet", "--allow-empty", "--message", subject)


def test_subjects_since_a_commit(repository: Path) -> None:
    problems, looked_at = commits.check(repository, "first")
    assert looked_at == "2 commit subjects since first"
    (problem,) = problems
    assert "'Added a check': no scope" in problem


def test_a_clone_that_was_cut_off_is_checked_as_far_as_it_goes(repository: Path, tmp_path: Path) -> None:
    commit(repository, "More of it")
    git(tmp_path, "clone", "--quiet", "--depth", "2", repository.as_uri(), "cut-off")
    problems, looked_at = commits.check(tmp_path / "cut-off", "first")
    assert looked_at == "2 commit subjects since first"
    assert len(problems) == 1  # not the merge, of which the clone knows no parents


def test_without_history_the_check_says_so(repository: Path, tmp_path: Path) -> None:
    assert commits.check(repository, "0" * 40)[1].startswith("commit subjects were not checked: this history")
    assert commits.check(tmp_path, "first")[1].startswith("commit subjects were not checked: this is no git")


def test_without_git_the_check_says_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert commits.check(repository) == ([], "commit subjects were not checked: git is not installed")
