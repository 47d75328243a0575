"""A virtual environment as a deployer's: the base install and nothing else.

A developer's environment weighs more: the import hook of an editable install is loaded into every process,
and packages of the extras are found where a deployer has none.
"""

import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import agent

DISTRIBUTION = "plancher"
OWN_PACKAGES = ("wire", "net", "host", "agent")


def make(folder: Path, more: Sequence[str] = ()) -> Path:
    """Make the environment in ``folder``, by links to what is installed here; returns its interpreter.

    ``more`` are distributions of an extra that the deployer has, too. Raises OSError, or PackageNotFoundError
    where a distribution is not installed.
    """
    venv.create(folder, with_pip=False, symlinks=True)
    library = next((folder / "lib").glob("python*/site-packages"))
    for name in (*_required(DISTRIBUTION), *more):
        found = metadata.distribution(name)
        for entry in _top_level(found):
            (library / entry).symlink_to(Path(str(found.locate_file(entry))).resolve())
    source = Path(agent.__file__).parent.parent
    for package in OWN_PACKAGES:
        (library / package).symlink_to(source / package)
    _write_own_metadata(library)
    return folder / "bin" / "python"


def _required(name: str) -> set[str]:
    """All that a distribution requires; what a marker guards belongs to extras or to old Pythons."""
    found: set[str] = set()
    for requirement in metadata.distribution(name).requires or []:
        if ";" not in requirement:
            found |= {_name(requirement), *_required(_name(requirement))}
    return found


def _name(requirement: str) -> str:
    end = next((index for index, sign in enumerate(requirement) if sign in " <>=!~[("), len(requirement))
    return requirement[:end]


def _top_level(found: metadata.Distribution) -> set[str]:
    """Files and folders that the distribution has in site-packages."""
    return {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}


def _write_own_metadata(library: Path) -> None:
    """What tells the version; an editable install's own would bring its import hook along."""
    version = metadata.version(DISTRIBUTION)
    own = library / f"{DISTRIBUTION}-{version}.dist-info"
    own.mkdir()
    text = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {version}\n"
    (own / "METADATA").write_text(text, encoding="utf-8")
