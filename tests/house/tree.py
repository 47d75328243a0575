"""Sources of the repository: packages, modules and what they define, from the work tree or a revision."""

import ast
import io
import os
import re
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[2]
TESTS = "tests"
# Ruff leaves these alone, too: they are kept as they were written.
_FROZEN = re.compile(r"tests\.versions\.v\d")
_NOT_SOURCE = {"__pycache__", "build", "dist", "var"}

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class NoTreeError(Exception):
    """A revision that cannot be read; the text tells a person what to do."""


@dataclass(frozen=True)
class Named:
    """A class or function with its name inside its module, as in ``Window.close``."""

    qualified: str
    node: Definition

    @property
    def is_public_class(self) -> bool:
        """True for a class that other modules may use: no part of its name is private."""
        return isinstance(self.node, ast.ClassDef) and not any(
            part.startswith("_") for part in self.qualified.split(".")
        )


@dataclass(frozen=True)
class Module:
    """One source file under its dotted name; a package is the module of its ``__init__.py``."""

    name: str
    path: str
    text: str = field(repr=False)

    @property
    def package(self) -> str:
        """Top-level package of this module."""
        return self.name.partition(".")[0]

    @property
    def is_frozen(self) -> bool:
        """True for a copy of an older version, which nobody edits."""
        return _FROZEN.match(self.name) is not None

    @property
    def room(self) -> str:
        """Dotted name of the folder in which the file lies."""
        return self.name if self.is_package else self.name.rpartition(".")[0]

    @property
    def is_package(self) -> bool:
        """True for an ``__init__.py``."""
        return PurePosixPath(self.path).name == "__init__.py"

    @cached_property
    def syntax(self) -> ast.Module:
        """Syntax tree of the file."""
        return ast.parse(self.text, self.path)

    @cached_property
    def definitions(self) -> list[Named]:
        """Every class and function, nested ones too."""
        return list(_definitions(self.syntax, ""))


class Tree:
    """All modules of the product and all modules of the tests."""

    def __init__(self, files: dict[str, str]) -> None:
        """Sort ``files`` (path to text) into packages; Python files outside packages are left out."""
        self.files = files
        modules = [module for path in sorted(files) if (module := _module(path, files))]
        self.product = [module for module in modules if module.package != TESTS]
        self.tests = [module for module in modules if module.package == TESTS]

    @property
    def edited(self) -> list[Module]:
        """All modules but the frozen copies of older versions."""
        return self.product + [module for module in self.tests if not module.is_frozen]


def of_work_tree(root: Path = ROOT) -> Tree:
    """Read the files as they lie on the disk, committed or not."""
    files = {}
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in _NOT_SOURCE and not name.startswith(".")]
        for name in names:
            if _is_wanted(name):
                path = Path(folder, name)
                files[path.relative_to(root).as_posix()] = path.read_text(encoding="utf-8")
    return Tree(files)


def of_revision(revision: str, root: Path = ROOT) -> Tree:
    """Read the files of a commit; raises NoTreeError where the clone does not have it."""
    files = {}
    with archive(revision, root) as tar:
        for member in tar:
            content = tar.extractfile(member) if _is_wanted(PurePosixPath(member.name).name) else None
            if content is not None:
                files[member.name] = content.read().decode()
    return Tree(files)


def archive(revision: str, root: Path = ROOT) -> tarfile.TarFile:
    """Open all files of a commit as an archive; raises NoTreeError where the clone does not have it."""
    try:
        done = subprocess.run(
            ["git", "archive", "--format=tar", f"{revision}^{{tree}}"],
            cwd=root, capture_output=True, check=True,
        )  # fmt: skip
    except FileNotFoundError:
        raise NoTreeError("git is not installed, and older revisions are read with it") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().partition("\n")[0]
        message = f"cannot read revision {revision} ({said}); in a shallow clone: git fetch --unshallow"
        raise NoTreeError(message) from None
    return tarfile.open(fileobj=io.BytesIO(done.stdout))


def _is_wanted(name: str) -> bool:
    return name.endswith(".py") or name == "pyproject.toml"


def _module(path: str, files: dict[str, str]) -> Module | None:
    """Name the module of ``path`` from its topmost package, wherever in the repository that lies."""
    file = PurePosixPath(path)
    if file.suffix != ".py":
        return None
    parts = [] if file.stem == "__init__" else [file.stem]
    folder = file.parent
    while str(folder / "__init__.py") in files and folder.name:
        parts.append(folder.name)
        folder = folder.parent
    if len(parts) < 2 and file.stem != "__init__":
        return None  # a script that lies in no package
    return Module(".".join(reversed(parts)), path, files[path])


def _definitions(node: ast.AST, within: str) -> Iterator[Named]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Definition):
            named = Named(f"{within}{child.name}", child)
            yield named
            yield from _definitions(child, f"{named.qualified}.")
        # Expressions define nothing that has a docstring, and walking them takes most of the time.
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _definitions(child, within)
