"""Child processes: start, watch and end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.programs.supervisor import ChildExit, ChildProgram, Supervisor
from tests.processes import wait_until

SLEEPER = "import time; print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"


def python(name: str, code: str, wave: int = 0) -> ChildProgram:
    return ChildProgram(name, (sys.executable, "-c", code), wave)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    with Supervisor(tmp_path) as running:
        yield running


def start_ready(supervisor: Supervisor, program: ChildProgram) -> int:
    pid = supervisor.start(program)
    assert supervisor.wait_until(says_ready(supervisor, program.name), 10) is True
    return pid


def says_ready(supervisor: Supervisor, name: str) -> Callable[[], bool]:
    return lambda: "ready" in supervisor.log_of(name).read_text()


def group_members(leader: int) -> list[str]:
    listed = subprocess.run(["ps", "-o", "pid=,stat=", "-g", str(leader)], capture_output=True, text=True)
    return [line for line in listed.stdout.splitlines() if " Z" not in line]


def test_a_child_leads_its_own_session(supervisor: Supervisor) -> None:
    pid = start_ready(supervisor, python("one", SLEEPER))
    assert os.getsid(pid) == pid != os.getsid(0)


def test_stop_ends_all_children_by_sigterm(supervisor: Supervisor) -> None:
    pids = [start_ready(supervisor, python(name, SLEEPER)) for name in ("one", "two")]
    assert supervisor.stop() == ()
    wait_until(lambda: not any(map(group_members, pids)), "all have ended")


def test_a_child_that_ignores_sigterm_is_killed_within_the_limit(supervisor: Supervisor) -> None:
    pid = start_ready(supervisor, python("stubborn", STUBBORN))
    began = time.monotonic()
    assert supervisor.stop(patience_s=0.3) == ("stubborn",)
    assert time.monotonic() - began < 5
    wait_until(lambda: not group_members(pid), "it has ended")


def test_descendants_of_a_child_are_killed_with_it(supervisor: Supervisor) -> None:
    pid = start_ready(supervisor, python("parent", PARENT))
    supervisor.stop(patience_s=1)
    wait_until(lambda: not group_members(pid), "both have ended")


def test_higher_waves_end_first(supervisor: Supervisor, tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    for name, wave in (("first", 2), ("second", 1), ("third", 0)):
        code = (
            "import signal, sys, time\n"
            f"def end(*_):\n    open({str(ends)!r}, 'a').write('{name} ')\n    sys.exit()\n"
            "signal.signal(signal.SIGTERM, end)\nprint('ready', flush=True)\ntime.sleep(60)"
        )
        start_ready(supervisor, python(name, code, wave))
    supervisor.stop()
    assert ends.read_text().split() == ["first", "second", "third"]


def test_a_child_that_ends_is_reported_with_its_last_output(supervisor: Supervisor) -> None:
    supervisor.start(python("well", SLEEPER))
    supervisor.start(python("ill", "import sys; sys.exit('the cat is on the cable')"))
    ended = supervisor.wait_until(lambda: False, 10)
    assert ended == ChildExit("ill", 1, ("the cat is on the cable",))
    assert str(ended) == "ill ended with status 1; its last output:\n  | the cat is on the cable"


def test_a_killed_child_is_reported_with_its_signal(supervisor: Supervisor) -> None:
    os.kill(start_ready(supervisor, python("one", SLEEPER)), signal.SIGKILL)
    ended = supervisor.wait_until(lambda: False, 10)
    assert isinstance(ended, ChildExit)
    assert str(ended).startswith("one was ended by signal 9;")


def test_wait_until_returns_after_its_limit(supervisor: Supervisor) -> None:
    supervisor.start(python("one", SLEEPER))
    assert supervisor.wait_until(lambda: False, 0.1) is False


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from lab.programs.supervisor import ChildProgram, Supervisor\n"
        f"supervisor = Supervisor(Path({str(tmp_path)!r}))\n"
        f"pid = supervisor.start(ChildProgram('child', (sys.executable, '-c', {SLEEPER!r})))\n"
        f"supervisor.wait_until(lambda: 'ready' in supervisor.log_of('child').read_text(), 10)\n"
        "print(pid, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert group_members(child)
        parent.kill()
    wait_until(lambda: not group_members(child), "the child ends with its parent")
