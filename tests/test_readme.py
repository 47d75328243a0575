"""Every command of README.md, run in its order."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.settings.sections import JournalSettings
from tests import servers
from tests.lanes import LANES
from tests.processes import accepts, running, wait_until
from tests.starvation import Starvation
from tests.verdicts import UNDECIDED, until_decided

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = ("agent.yaml", "peer.yaml", "collector.yaml", "sites.csv")
DEMO_WITHIN_S = 110
PAGE = "http://127.0.0.1:8460/"


def commands() -> list[str]:
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def test_the_readme_has_exactly_the_commands_tested_here() -> None:
    assert commands() == [
        "make demo",
        "make test",
        ".venv/bin/plancher-peer run peer.yaml",
        ".venv/bin/plancher-agent check agent.yaml",
        ".venv/bin/plancher-agent measure agent.yaml",
        "/usr/sbin/mosquitto -p 1883",
        ".venv/bin/plancher-collector check collector.yaml",
        ".venv/bin/plancher-collector run collector.yaml",
        ".venv/bin/plancher-agent run agent.yaml",
        "make check",
    ]


@pytest.mark.parametrize("word", ["floor", "agent", "peer", "broker", "collector", "ledger", "receipt"])
def test_the_first_sentence_with_a_word_says_what_it_is(word: str) -> None:
    [(begin, end)] = [found.span() for found in re.finditer(rf"(?m)^- (The|An|A) \*\*{word}\*\* ", README)]
    before = README[:begin].replace("plancher-", "")
    assert not re.search(rf"\b{word}s?\b", before, re.IGNORECASE)
    assert re.search(r"^[^.]* (is|stores) ", README[end - 1 :])


def test_the_sizes_are_those_of_the_settings_and_units() -> None:
    journal = int(JournalSettings().size)
    units = {
        name: (ROOT / f"deploy/systemd/plancher-{name}.service").read_text() for name in ("peer", "collector")
    }
    for text in (
        f"{journal / 1e6:.0f} MB for unsent measurements (`journal.size`)",
        f"its unit allows {re.findall(r'MemoryMax=([0-9]+)G', units['peer'])[0]} GB of memory",
        f"its unit allows {re.findall(r'MemoryMax=([0-9]+)G', units['collector'])[0]} GB of memory",
    ):
        assert text in README


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize(
    ("command", "tools"),
    [
        ("make test", [f"pytest .* --lane {lane}" for lane in LANES]),
        ("make check", ["ruff check", "ruff format --check", "mypy", "lint-imports"]),
    ],
)
def test_commands_of_continuous_integration_run_every_lane_and_check(command: str, tools: list[str]) -> None:
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()
    planned = subprocess.run(
        [*shlex.split(command), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [tool for tool in tools if not re.search(tool, planned.stdout)] == []


def test_make_demo_shows_a_page_and_ends_on_ctrl_c() -> None:
    process = subprocess.Popen(
        ["make", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        page = _address(process, DEMO_WITHIN_S)
        with urllib.request.urlopen(page, timeout=10) as answer:
            assert answer.status == 200
        os.killpg(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert "Traceback" not in rest


def _address(process: "subprocess.Popen[str]", within_s: float) -> str:
    said = []
    timer = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.alarm(int(within_s))
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            if found := re.search(r"The page: (http://\S+)", line):
                return found.group(1)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, timer)
    raise AssertionError("no address of a page:\n" + "".join(said))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Copy the examples to a folder, for the files that the programs write."""
    path = tmp_path_factory.mktemp("readme")
    for name in EXAMPLES:
        shutil.copy(ROOT / name, path)
    before = Path.cwd()
    os.chdir(path)
    yield path
    os.chdir(before)


def words(command: str) -> list[str]:
    """Split a command of the README, with the programs of this environment."""
    assert command in commands()
    program, *arguments = shlex.split(command)
    if program.startswith(".venv/bin/"):
        return [str(Path(sys.executable).parent / Path(program).name), *arguments]
    return [str(servers.require(Path(program).name)), *arguments]


def run(command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(words(command), capture_output=True, text=True, timeout=60)


def says(log: Path, text: str) -> Callable[[], bool]:
    return lambda: text in log.read_text()


def page_holds(text: str) -> bool:
    with urllib.request.urlopen(PAGE, timeout=5) as answer:
        return text in answer.read().decode()


@pytest.fixture
def _free_ports() -> None:
    """Skip the test if another program uses the ports of the examples."""
    taken = [port for port in (1883, 8460) if accepts(port)]
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
        try:
            sock.bind(("127.0.0.1", 24601))
        except OSError:
            taken.append(24601)
    if taken and not servers.in_continuous_integration():
        pytest.skip(f"ports {taken} of the examples are in use: stop what listens there")


@pytest.mark.timeout(240)  # three measurements, on a machine that is too busy for the first two
@pytest.mark.usefixtures("_free_ports")
def test_the_next_steps_work(folder: Path, starvation: Starvation) -> None:
    """Measure once as a deployer, then run the whole chain from agent to page as an operator."""
    peer = folder / "peer.log"
    with ExitStack() as programs:
        start = programs.enter_context
        start(running(words(".venv/bin/plancher-peer run peer.yaml"), says(peer, "serving"), peer))
        checked = run(".venv/bin/plancher-agent check agent.yaml")
        assert "nothing listens there: is the broker running" in checked.stdout, checked.stdout
        measured = until_decided(lambda: run(".venv/bin/plancher-agent measure agent.yaml"), tries=3)
        # A starved machine spoils a measurement; the guide goes on.
        accepted = (0, UNDECIDED) if starvation.spoils else (0,)
        assert measured.returncode in accepted, measured.stdout + measured.stderr
        start(running(words("/usr/sbin/mosquitto -p 1883"), lambda: accepts(1883), folder / "broker.log"))
        assert run(".venv/bin/plancher-agent check agent.yaml").returncode == 0
        checked = run(".venv/bin/plancher-collector check collector.yaml")
        assert checked.returncode == 0, checked.stdout + checked.stderr
        collector = words(".venv/bin/plancher-collector run collector.yaml")
        start(running(collector, lambda: accepts(8460), folder / "collector.log"))
        agent = folder / "agent.log"
        start(running(words(".venv/bin/plancher-agent run agent.yaml"), says(agent, "connected"), agent))
        wait_until(lambda: page_holds("0631234A"), "the site is on the page")
