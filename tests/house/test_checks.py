"""Tests of the rules and of commit subjects."""

import subprocess
from pathlib import Path

import pytest

from tests.house import checks, commits
from tests.house.tree import Tree

FINDINGS = """\
p/a.py:2: class Twice exists 2 times (p/b.py:1): give it a name of its own
p/b.py:1: class Twice exists 2 times (p/a.py:2): give it a name of its own
p/__init__.py:1: docstring of package p has 0 lines, not 5 to 15: say what lives here and who may import it
p/a.py:1: docstring of p.a has a sentence of 26 words (Begin word word word word word word word ...): \
one sentence, one fact, 25 words at most
tests/a.py:3: docstring of Twice.f begins with a clause (What it does, in more than eight words ...): \
begin with a noun or verb"""


def test_the_repository_keeps_its_own_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.check() == 0, capsys.readouterr().err


def test_findings_say_where_what_and_what_to_do() -> None:
    clause = 'class Twice:\n    def f(self):\n        """What it does, in more than eight words of text."""\n'
    long = '"""Begin' + " word" * 25 + '."""\n'
    twice = "class Twice:\n    class _Own: pass\nclass _Private: pass\n"
    files = {"p/__init__.py": "", "p/a.py": long + twice, "p/b.py": twice, "script/a.py": clause}
    files |= {"tests/__init__.py": "", "tests/a.py": clause, "tests/b.py": long}
    assert "\n".join(map(str, checks.findings(Tree(files)))) == FINDINGS


@pytest.mark.parametrize(("subject", "problem"), [
    ("outages: write the state file after the record is committed", None),
    ("agent, peer: share the outbox", None),
    ("ledger/write: need no lock", None),
    ("probes: pass the context, not its parts", None),
    ("x: " + "a" * 69, None),
    ("x: " + "a" * 70, "73 characters, 72 at most"),
    ("Write the state file later", "no scope"),
    ("fixup! outages: write the file", "no scope"),
    ("Evidence: How it was counted", "not a verb in lower case"),
    ("outages: the file is written later", "'the' is no verb"),
    ("outages: what is written", "'what' is no verb"),
    ("outages: fixed the file", "'fixed' is no imperative"),
    ("outages: fixing the file", "'fixing' is no imperative"),
    ("outages: fixes the file", "'fixes' is no imperative"),
])  # fmt: skip
def test_a_subject(subject: str, problem: str | None) -> None:
    said = commits.problem(subject)
    assert said is None if problem is None else problem in str(said)


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_subjects_since_a_commit_also_in_a_clone_that_was_cut_off(tmp_path: Path) -> None:
    root, clone = tmp_path / "repository", tmp_path / "clone"
    root.mkdir()
    assert commits.check(root, "first")[1].startswith("commit subjects were not checked")
    git(root, "init", "--quiet", "--initial-branch", "main")
    for words in (
        "commit -m Before", "tag first", "checkout -b other", "commit -m house:add", "checkout main",
        "commit -m Added", "merge --no-edit other", "commit -m More",
    ):  # fmt: skip
        more = ["--quiet", "--allow-empty"] if words.startswith("commit") else []
        git(root, *words.split(), *more)
    # The clone has the newest commit and the merge, of which it knows no parents.
    git(tmp_path, "clone", "--quiet", "--depth", "2", root.as_uri(), "clone")
    for place, count, bad in ((root, 3, ["More", "house:add", "Added"]), (clone, 2, ["More"])):
        problems, looked_at = commits.check(place, "first")
        assert looked_at == f"{count} commit subjects since first"
        assert sorted(problem.split("'")[1] for problem in problems) == sorted(bad)
