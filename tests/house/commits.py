"""Commit subjects: scope, imperative, at most 72 characters.

English has no spelling for the imperative, so the rule is what can be seen of it. The first word after the
scope is in lower case. It is no article, pronoun or clause word. It has no ending of another form of the
verb (*fixed*, *fixing*, *fixes*). Merge commits keep the subject that git gives them.
"""

import re
import subprocess
from pathlib import Path

from tests.house.tree import ROOT
from tests.house.writing import CLAUSE_WORDS, vocabulary

# The last commit before the rule.
SINCE = "312fabb"
LONGEST_SUBJECT = 72

_SUBJECT = re.compile(r"(?P<scope>[\w./*+-]+(?:(?:, | and )[\w./*+-]+)*): (?P<what>\S.*)")
_NO_VERBS = CLAUSE_WORDS | vocabulary(
    "a an the this that these those its their it they all both each every no one two some more"
    " as by for from in on to at with without and or not"
)
_OTHER_FORM = re.compile(r"\w+(?:ed|ing|[^suaio]s)")
_LOOKS_LIKE_OTHER_FORM = vocabulary(
    "embed exceed feed need proceed seed shed speed succeed bring ping ring string"
)


def problem(subject: str) -> str | None:
    """Say what is wrong with a subject and what to do, or None."""
    if len(subject) > LONGEST_SUBJECT:
        return f"{len(subject)} characters, {LONGEST_SUBJECT} at most: move the reason into the body"
    match = _SUBJECT.fullmatch(subject)
    if not match:
        return "no scope: begin with the room, as in `outages: write the state file later`"
    verb = re.split(r"[^\w'-]", match["what"])[0]
    if not verb or verb != verb.lower():
        return "the word after the scope is not a verb in lower case: say what the commit does"
    if verb in _NO_VERBS:
        return f"{verb!r} is no verb: begin with what the commit does, as in `add`, `move`, `remove`"
    if _OTHER_FORM.fullmatch(verb) and verb not in _LOOKS_LIKE_OTHER_FORM:
        return f"{verb!r} is no imperative: write it as an order, as in `add`, `move`, `remove`"
    return None


def check(root: Path = ROOT, since: str = SINCE) -> tuple[list[str], str]:
    """Problems of all commits after ``since``, and a line that says what was looked at."""
    log = _git(root, "log", "--no-merges", "--format=%h%x09%s", f"{since}..HEAD")
    if log is None and _git(root, "rev-parse", "--is-shallow-repository") == "true":
        # A clone that was cut off after `since` has new commits only, so all of them are checked.
        log = _git(root, "log", "--no-merges", "--format=%h%x09%s", "HEAD")
    if log is None:
        return [], f"commit subjects were not checked: git knows no history after {since} here"
    problems = []
    for line in log.splitlines():
        commit, _, subject = line.partition("\t")
        # Where a clone was cut off, git shows a merge commit without its parents.
        if not subject.startswith("Merge ") and (why := problem(subject)):
            problems.append(f"commit {commit}: {subject!r}: {why} (git commit --amend, or git rebase -i)")
    return problems, f"{len(log.splitlines())} commit subjects since {since}"


def _git(root: Path, *arguments: str) -> str | None:
    """Output of git without its last line end, or None where it fails or is not installed."""
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
