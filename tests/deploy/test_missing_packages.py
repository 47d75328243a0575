"""Programs in an environment that lacks a package: one line with the remedy, never a traceback."""

import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from host.exits import Exit
from tests.deploy.test_distributions import source as source
from tests.deploy.test_distributions import wheel
from tests.documentation import ROOT

SCRIPT = "import sys; sys.argv[0] = {name!r}; from {package} import entry; entry.main()"
PIP = f"{sys.prefix}/bin/pip install"


def call(package: str, *arguments: str, python: str = sys.executable, **more: str) -> tuple[int, str, str]:
    """Run a console script as its wrapper does."""
    code = SCRIPT.format(name=f"plancher-{package}", package=package)
    done = subprocess.run(
        [python, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | more,
        cwd=more.get("HERE", ROOT),
    )
    return done.returncode, done.stdout, done.stderr


def without(folder: Path, *modules: str) -> dict[str, str]:
    """Environment variables of a Python that lacks these modules."""
    for name in modules:
        text = f"raise ModuleNotFoundError(\"No module named '{name}'\", name={name!r})\n"
        (folder / f"{name}.py").write_text(text)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}


@pytest.mark.parametrize(("package", "module", "remedy"), [
    *(("collector", module, "plancher[collector]")
      for module in ("aiohttp", "sqlalchemy", "jinja2", "prometheus_client", "msgspec")),
    *(("agent", module, "plancher") for module in ("msgspec", "yaml", "dns")),
    *(("peer", module, "plancher") for module in ("msgspec", "yaml", "aiomqtt")),
    ("lab", "msgspec", "plancher-lab"),
])  # fmt: skip
def test_a_missing_package_is_one_line_with_its_remedy(
    tmp_path: Path, package: str, module: str, remedy: str
) -> None:
    arguments = ("check", "none.yaml") if package != "lab" else ("link", "--help")
    code, output, text = call(package, *arguments, **without(tmp_path, module))
    told = f"plancher-{package}: the Python package {module} is not installed: {PIP} '{remedy}'\n"
    assert (code, output, text) == (Exit.UNAVAILABLE, "", told)


@pytest.mark.parametrize(("module", "command"), [
    ("rich", ("status",)), ("psutil", ("check",)), ("aiomqtt", ("check",)),
    ("rich", ("measure", "--probe", "stamp")),
])  # fmt: skip
def test_a_package_that_one_command_needs_is_named_by_that_command(
    tmp_path: Path, module: str, command: tuple[str, ...]
) -> None:
    verb, *options = command
    journal = f"{{path: {tmp_path}/state/journal.db}}, runtime_directory: {tmp_path}/run"
    (tmp_path / "agent.yaml").write_text(
        f"{{site: A, peer: {{key: example-key-change-me, stamp_port: 1}}, journal: {journal}}}"
    )
    code, _, text = call("agent", verb, f"{tmp_path}/agent.yaml", *options, **without(tmp_path, module))
    told = f"plancher-agent: the Python package {module} is not installed: {PIP} 'plancher'\n"
    assert (code, text) == (Exit.UNAVAILABLE, told)


def test_a_wheel_alone_in_a_bare_environment_says_what_to_install(source: Path, tmp_path: Path) -> None:
    place = tmp_path / "bare"
    venv.create(place, with_pip=False, symlinks=True)
    [library] = (place / "lib").glob("python*/site-packages")
    built = wheel(source, tmp_path)
    with ZipFile(built) as archive:
        archive.extractall(library)
    for package, remedy in (
        ("agent", "plancher"),
        ("peer", "plancher"),
        ("collector", "plancher[collector]"),
    ):
        python = str(place / "bin" / "python")
        code, output, text = call(package, "check", python=python, PYTHONPATH="", HERE=str(tmp_path))
        assert (code, output) == (Exit.UNAVAILABLE, ""), text
        assert text.endswith(f" is not installed: {place}/bin/pip install '{remedy}'\n")
        assert text.count("\n") == 1
