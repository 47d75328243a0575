"""Two distributions of this repository; a site installs nothing of the lab."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.documentation import ROOT

BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
NOT_BUILT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "var", "tests", "docs")
PRODUCT = ("agent", "collector", "host", "net", "outbox", "peer", "wire")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the repository, because a build leaves files behind."""
    copy = tmp_path_factory.mktemp("build") / "source"
    shutil.copytree(ROOT, copy, ignore=NOT_BUILT)
    return copy


def wheel(project: Path, output: Path) -> Path:
    """Build as pip does after it has fetched setuptools, which here is installed."""
    command = [sys.executable, "-c", BUILD, output]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return output / done.stdout.splitlines()[-1]


def contents(built: Path) -> set[str]:
    with ZipFile(built) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def of_packages(source: Path, *packages: str) -> set[str]:
    paths = [path for package in packages for path in (source / package).rglob("*") if path.is_file()]
    return {str(path.relative_to(source)) for path in paths if path.name != "pyproject.toml"}


def programs(built: Path) -> set[str]:
    with ZipFile(built) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        return set(re.findall(r"^(\S+) =", archive.read(name).decode(), re.MULTILINE))


def test_a_site_installs_the_programs_and_nothing_of_the_lab(source: Path, tmp_path: Path) -> None:
    expected = of_packages(source, *PRODUCT)
    built = wheel(source, tmp_path)
    assert contents(built) == expected
    assert programs(built) == {"plancher-agent", "plancher-collector", "plancher-peer"}


def test_the_labs_wheel_holds_the_whole_lab(source: Path, tmp_path: Path) -> None:
    expected = of_packages(source, "lab")
    built = wheel(source / "lab", tmp_path)
    assert contents(built) == expected
    assert programs(built) == {"plancher-lab"}


def test_both_have_one_version() -> None:
    product, lab = (
        tomllib.loads((ROOT / place / "pyproject.toml").read_text())["project"] for place in (".", "lab")
    )
    assert product["version"] == lab["version"]
    assert f"plancher[collector,path] == {product['version']}" in lab["dependencies"]


def test_a_developer_has_both() -> None:
    assert metadata.version("plancher-lab") == metadata.version("plancher")
