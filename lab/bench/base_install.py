"""Virtual environment of a site: the base install and nothing else.

A developer's environment needs more memory. An editable install loads its import hook into every process, and
packages of the extras are importable.
"""

import compileall
import shutil
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import agent

DISTRIBUTION = "plancher"
OWN_PACKAGES = ("wire", "net", "host", "outbox", "agent")


def make(folder: Path, more: Sequence[str] = ()) -> Path:
    """Make the environment in ``folder``, by links to installed files; return its interpreter.

    ``more`` are distributions of an extra. Raises OSError, or PackageNotFoundError where a distribution is
    missing.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    library = next((folder / "lib").glob("python*/site-packages"))
    for name in (*_required(DISTRIBUTION), *more):
        found = metadata.distribution(name)
        for entry in _top_level(found):
            (library / entry).symlink_to(Path(str(found.locate_file(entry))).resolve())
    source = Path(agent.__file__).parent.parent
    for package in OWN_PACKAGES:
        shutil.copytree(source / package, library / package, ignore=shutil.ignore_patterns("__pycache__"))
    # As pip does: a start that has to compile first needs 1 MB more for ever.
    compileall.compile_dir(library, quiet=1)
    _write_own_metadata(library)
    return folder / "bin" / "python"


def _required(name: str) -> set[str]:
    """Return all requirements of a distribution."""
    found: set[str] = set()
    for requirement in metadata.distribution(name).requires or []:
        if ";" not in requirement:  # a marker guards extras, and backports for old Pythons
            found |= {_name(requirement), *_required(_name(requirement))}
    return found


def _name(requirement: str) -> str:
    end = next((index for index, sign in enumerate(requirement) if sign in " <>=!~[("), len(requirement))
    return requirement[:end]


def _top_level(found: metadata.Distribution) -> set[str]:
    """Return the files and folders of a distribution in site-packages."""
    return {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}


def _write_own_metadata(library: Path) -> None:
    """Write the metadata from which the version is read."""
    # The metadata of an editable install would bring its import hook along.
    version = metadata.version(DISTRIBUTION)
    own = library / f"{DISTRIBUTION}-{version}.dist-info"
    own.mkdir()
    text = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n"
    (own / "METADATA").write_text(text, encoding="utf-8")
