"""Freezes what a commit has on the wire: ``python -m tests.versions.freeze a9ab4a6 v0_1``.

Copies its decoders, with their imports turned to the copy, and lets its own code, checked out into a
temporary folder, write one message of each kind.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FROZEN = ("wire/records/", "wire/messages.py", "wire/peer_tests.py")


def check_out(commit: str, folder: Path) -> None:
    """The tree of a commit. Raises subprocess.CalledProcessError where this clone does not have it."""
    archived = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", folder], input=archived, check=True)


def environment(tree: Path) -> dict[str, str]:
    """In which a child imports the packages of ``tree`` instead of this one's."""
    return os.environ | {"PYTHONPATH": str(tree)}


def main(commit: str, name: str) -> None:
    """Write the package ``name`` beside this file."""
    package = HERE / name
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        check_out(commit, tree)
        for path in sorted(tree.glob("wire/**/*.py")):
            place = path.relative_to(tree)
            if str(place).startswith(FROZEN):
                frozen = package / place
                frozen.parent.mkdir(parents=True, exist_ok=True)
                text = path.read_text().replace("from wire.", f"from tests.versions.{name}.wire.")
                frozen.write_text(text)
        for made in (package, package / "wire"):
            (made / "__init__.py").write_text(
                f'"""The wire as of commit {commit}, frozen: never edited."""\n'
            )
        (package / "recorded").mkdir(exist_ok=True)
        command = [sys.executable, HERE / "record.py", package / "recorded"]
        subprocess.run(command, cwd=tree, env=environment(tree), check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
