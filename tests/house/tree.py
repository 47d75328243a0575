"""Sources of the repository: packages, modules and what they define, from the work tree or a revision."""

import ast
import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
# Copies of older versions that 312fabb had; nobody edited them.
_FROZEN = re.compile(r"tests\.versions\.v\d")

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class NoTreeError(Exception):
    """A revision that cannot be read; the text tells a person what to do."""


@dataclass(frozen=True)
class Module:
    """One source file; a package is the module of its ``__init__.py``, a *room* the folder of a file."""

    path: str
    text: str = field(repr=False)

    @property
    def is_package(self) -> bool:
        """True for an ``__init__.py``."""
        return self.path.endswith("__init__.py")

    @property
    def room(self) -> str:
        """Dotted name of the folder in which the file lies."""
        return ".".join(PurePosixPath(self.path).parent.parts)

    @property
    def name(self) -> str:
        """Dotted name of the module."""
        return self.room if self.is_package else f"{self.room}.{PurePosixPath(self.path).stem}"

    @property
    def is_frozen(self) -> bool:
        """True for a copy of an older version."""
        return _FROZEN.match(self.name) is not None

    @cached_property
    def syntax(self) -> ast.Module:
        """Syntax tree of the file."""
        return ast.parse(self.text, self.path)

    @cached_property
    def definitions(self) -> list[tuple[str, Definition]]:
        """Every class and function with its name inside the module, as in ``Window.close``."""
        return list(_definitions(self.syntax))


class Tree:
    """All modules of the product and all modules of the tests."""

    def __init__(self, files: dict[str, str]) -> None:
        """Sort ``files`` (path to text); files outside packages are left out."""
        self.files = files
        modules = [Module(path, files[path]) for path in sorted(files) if _is_module(path, files)]
        self.product = [module for module in modules if not module.path.startswith("tests/")]
        self.tests = [module for module in modules if module.path.startswith("tests/")]


def of_work_tree(root: Path = ROOT) -> Tree:
    """Read the files as they lie on the disk, committed or not."""
    packages = [init.parent for init in root.glob("*/__init__.py")]
    paths = [path for package in packages for path in package.rglob("*.py")]
    paths += [*root.glob("pyproject.toml"), *root.glob("*/pyproject.toml")]
    return Tree({path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in paths})


def of_revision(revision: str, root: Path = ROOT) -> Tree:
    """Read the files of a commit; raises NoTreeError where the clone does not have it."""
    files = {}
    with archive(revision, root) as tar:
        for member in tar:
            if member.name.endswith((".py", "pyproject.toml")) and (content := tar.extractfile(member)):
                files[member.name] = content.read().decode()
    return Tree(files)


def archive(revision: str, root: Path = ROOT) -> tarfile.TarFile:
    """Open all files of a commit as an archive; raises NoTreeError where the clone does not have it."""
    command = ["git", "archive", "--format=tar", f"{revision}^{{tree}}"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        message = f"cannot read revision {revision} ({said}); in a shallow clone: git fetch --unshallow"
        raise NoTreeError(message)
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def _is_module(path: str, files: dict[str, str]) -> bool:
    folders = PurePosixPath(path).parents[:-1]
    return path.endswith(".py") and bool(folders) and all(f"{one}/__init__.py" in files for one in folders)


def _definitions(node: ast.AST, within: str = "") -> Iterator[tuple[str, Definition]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            yield within + child.name, child
            yield from _definitions(child, f"{within}{child.name}.")
        # Expressions define nothing that has a docstring, and walking them takes most of the time.
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _definitions(child, within)
