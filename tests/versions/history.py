"""The commit of 0.1, whose programs are run beside today's: ``make history`` fetches it into a shallow clone.

A clone that was cut off, as continuous integration likes to make them, has only the newest commits.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import in_continuous_integration
from tests.versions.freeze import ROOT

COMMIT = "a9ab4a6052088be615a34e6208b7444af28dd327"
FETCH_WITHIN_S = 120


def is_here(clone: Path = ROOT) -> bool:
    """Whether the clone has the commit with all its files."""
    return _git(clone, "archive", "--output", os.devnull, COMMIT) is None


def fetch(clone: Path = ROOT) -> str | None:
    """Get the commit alone from where the clone came from; None, or why that cannot be, for a person."""
    return _git(clone, "fetch", "--quiet", "--depth", "1", "origin", COMMIT)


def _git(clone: Path, *arguments: str) -> str | None:
    """Run git without ever asking for a password; None, or what it complained of."""
    environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=clone, env=environment, capture_output=True, text=True,
            timeout=FETCH_WITHIN_S,
        )  # fmt: skip
    except FileNotFoundError:
        return "git is not installed"
    except subprocess.TimeoutExpired:
        return f"no answer within {FETCH_WITHIN_S} s"
    complaint = done.stderr.strip().partition("\n")[0]  # what follows is advice on access rights
    return None if done.returncode == 0 else complaint or f"exit status {done.returncode}"


def main() -> int:
    """Fetch what is missing, or say why the tests of older programs cannot run."""
    if is_here():
        print("Older versions for the tests: their commit is there.")
        return 0
    problem = fetch()
    if problem is None and is_here():
        print(f"Older versions for the tests: commit {COMMIT[:7]} was fetched.")
        return 0
    print(f"Missing: commit {COMMIT[:7]}, whose programs are run beside today's: {problem}", file=sys.stderr)
    print("To get it: git fetch --unshallow, in a clone that can reach its origin", file=sys.stderr)
    if in_continuous_integration(os.environ):
        print("CI=true: a missing version is a failure.", file=sys.stderr)
        return 1
    print("Tests that need it will be skipped.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
