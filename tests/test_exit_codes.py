"""Exit codes of the three programs: the table of the README, held against the real commands.

No terminal and no full disk makes a command end with an internal error.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from host.exits import Exit
from tests.documentation import ROOT
from tests.processes import free_port

KEY = "a-key-of-16-bytes-or-more"
NO_FILE = {"ca": "{here}/none.pem"}
WITH_CA = {"broker": {"tls": NO_FILE}}
KEY_FILE: dict[str, object] = {"key": None, "key_file": "{here}/none.key"}


def documents(here: Path) -> dict[str, dict[str, Any]]:
    """Settings of each program in ``here``, in which nothing is wrong; nobody listens at any port."""
    ports = {"udpstp_port": free_port(), "stamp_port": free_port()}
    return {
        "agent": {
            "site": "0631234A",
            "peer": {"key": KEY, **ports},
            "stamp": {"packets": 2, "spacing": "50 ms", "timeout": "200 ms"},
            "broker": {"port": free_port()},
            "journal": {"path": f"{here}/agent/journal.db"},
            "runtime_directory": f"{here}/run",
        },
        "peer": {
            "keys": [{"id": 1, "key": KEY}],
            "udpstp": {"port": free_port()},
            "stamp": {"port": free_port()},
            "broker": {"port": free_port()},
            "tests": {"path": f"{here}/peer/tests.db"},
            "name": "pop-1",
        },
        "collector": {
            "inventory": f"{here}/sites.csv",
            "ledger": {"path": f"{here}/ledger/ledger.db"},
            "web": {"port": free_port()},
            "broker": {"port": free_port()},
        },
    }


def written(here: Path, program: str, changed: dict[str, object]) -> None:
    """Write the settings of ``program``, some of them ``changed``, and an inventory."""
    document = documents(here)[program]
    for name, part in changed.items():
        merged = {**document.get(name, {}), **part} if isinstance(part, dict) else part
        document[name] = merged
    (here / "sites.csv").write_text("site_id,name\n0631234A,Lycée Blaise-Pascal\n")
    settings = json.dumps(document).replace("{here}", str(here))
    (here / "it.yaml").write_text(settings)
    (here / "is.html").mkdir(exist_ok=True)


def command(here: Path, program: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", program, *(one.replace("{here}", str(here)) for one in arguments)]


def call(here: Path, program: str, changed: dict[str, object], *arguments: str) -> tuple[int, str]:
    """Run ``program`` with its settings, some of them ``changed``; return exit code and output."""
    written(here, program, changed)
    called = command(here, program, *arguments)
    done = subprocess.run(called, capture_output=True, text=True, timeout=120, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


NO_NAME: dict[str, object] = {"peer": {"host": "no-such-name.invalid"}}
NO_PASSWORD: dict[str, object] = {"broker": {"username": "c", "password_file": "{here}/none"}}
NO_SITES: dict[str, object] = {"inventory": "{here}/none.csv"}
PROGRAMS = ("agent", "peer", "collector")
COMMANDS = [(program, verb) for program in PROGRAMS for verb in ("run", "check")]
COMMANDS += [("agent", "measure"), ("agent", "status")]
IT = "{here}/it.yaml"
NONE = "{here}/none.yaml"
FOLDER = "{here}/is.html"


@pytest.mark.parametrize(("code", "program", "changed", "arguments"), [
    (Exit.FAIL, "agent", {}, ("status", IT)),
    (Exit.FAIL, "agent", {}, ("measure", IT, "--probe", "reachability")),
    (Exit.FAIL, "agent", {}, ("measure", IT, "--probe", "reachability", "--json")),
    (Exit.UNDECIDED, "agent", {}, ("measure", IT, "--probe", "stamp")),
    (Exit.UNDECIDED, "agent", NO_NAME, ("measure", IT, "--probe", "stamp")),
    (Exit.USAGE, "agent", {}, ()),
    (Exit.USAGE, "agent", {}, ("measure", IT, "--probe", "flour")),
    (Exit.USAGE, "peer", {}, ("serve", IT)),
    (Exit.USAGE, "collector", {}, ("check", IT, "--now")),
    (Exit.UNAVAILABLE, "agent", {}, ("check", IT)),
    (Exit.UNAVAILABLE, "peer", {}, ("check", IT)),
    (Exit.UNAVAILABLE, "collector", {}, ("check", IT)),
    *((Exit.CANNOT_CREATE, program, {}, (verb, NONE)) for program, verb in COMMANDS),
    *((Exit.CANNOT_CREATE, program, {}, ("check", FOLDER)) for program in PROGRAMS),
    *((Exit.CANNOT_CREATE, "agent", {"peer": KEY_FILE}, (verb, IT)) for verb in ("run", "check", "measure")),
    *(
        (Exit.CANNOT_CREATE, "peer", {"keys": [{"id": 1, "key_file": "{here}/none.key"}]}, (verb, IT))
        for verb in ("run", "check")
    ),
    *(
        (Exit.CANNOT_CREATE, program, WITH_CA, ("run", IT))
        for program in PROGRAMS
    ),
    (Exit.CANNOT_CREATE, "peer", WITH_CA, ("check", IT)),
    (Exit.CANNOT_CREATE, "collector", WITH_CA, ("check", IT)),
    (Exit.CANNOT_CREATE, "collector", NO_PASSWORD, ("run", IT)),
    *((Exit.CANNOT_CREATE, "collector", NO_SITES, (verb, IT)) for verb in ("run", "check")),
    (Exit.CANNOT_CREATE, "collector", {}, ("ledger", "verify", "{here}/none.db")),
    (Exit.CANNOT_CREATE, "collector", {}, ("ledger", "backup", "{here}/none.db", "{here}/copy.db")),
    (Exit.CANNOT_CREATE, "collector", {}, ("ledger", "restore", "{here}/one.db", "{here}/none.db")),
    *((Exit.CONFIGURATION, program, {"brokr": {}}, (verb, IT)) for program, verb in COMMANDS),
    (Exit.CONFIGURATION, "agent", {"schedule": {"path": None}}, ("measure", IT, "--probe", "path")),
    *(
        (Exit.CONFIGURATION, program, {"broker": {"tls": {"ca": IT}}}, ("run", IT))
        for program in PROGRAMS
    ),
    (Exit.CONFIGURATION, "collector", {"inventory": IT}, ("check", IT)),
])  # fmt: skip
def test_a_command_ends_as_the_readme_says(
    tmp_path: Path, code: Exit, program: str, changed: dict[str, object], arguments: tuple[str, ...]
) -> None:
    found, text = call(tmp_path, program, changed, *arguments)
    assert found == code, text
    assert "Traceback" not in text


def test_the_readme_lists_each_code_of_the_programs() -> None:
    listed = re.findall(r"^\| (\d+) \| ", (ROOT / "README.md").read_text(), re.MULTILINE)
    signals = {Exit.INTERRUPTED, Exit.BROKEN_PIPE}
    assert [int(one) for one in listed] == [code for code in Exit if code not in signals]


EACH = [
    ("agent", "check", IT), ("agent", "status", IT), ("agent", "status", IT, "--json"),
    ("agent", "measure", IT, "--probe", "stamp"), ("agent", "measure", IT, "--probe", "stamp", "--json"),
    ("agent", "run", NONE), ("peer", "check", IT), ("peer", "run", NONE), ("collector", "check", IT),
    ("collector", "run", NONE), ("collector", "ledger", "create", "{here}/ledger.db"),
    ("collector", "ledger", "verify", "{here}/none.db"), ("collector", "pki", "{here}/pki", "--site", "A"),
]  # fmt: skip
# Neither C.UTF-8 nor Python's own UTF-8 mode takes the place of this terminal.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}


@pytest.mark.parametrize(("program", "arguments"), [(first, more) for first, *more in EACH])
def test_an_ascii_terminal_is_no_internal_error(tmp_path: Path, program: str, arguments: list[str]) -> None:
    """Also where the names of files and folders cannot be written in ASCII."""
    here = tmp_path / "Besançon “été”"
    here.mkdir()
    written(here, program, {})
    called = command(here, program, *arguments)
    done = subprocess.run(called, capture_output=True, text=True, env=os.environ | ASCII, cwd=ROOT)
    assert done.returncode in set(Exit) - {Exit.SOFTWARE}, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("program", "arguments"), [(first, more) for first, *more in EACH])
def test_a_full_disk_below_the_output_is_no_internal_error(
    tmp_path: Path, program: str, arguments: list[str]
) -> None:
    written(tmp_path, program, {})
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(tmp_path, program, *arguments), stdout=full, stderr=subprocess.PIPE, text=True, cwd=ROOT
        )
    assert (done.returncode, "Traceback" in done.stderr) == (Exit.CANNOT_CREATE, False), done.stderr


FILL = "mount -t tmpfs -o size=64k none {here}/full && head -c 1M /dev/zero > {here}/full/rest; exec {called}"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: root alone may do that")
@pytest.mark.parametrize(("program", "changed", "arguments", "code"), [
    ("agent", {"journal": {"path": "{here}/full/journal.db"}}, ("check", IT), Exit.CANNOT_CREATE),
    ("agent", {"journal": {"path": "{here}/full/journal.db"}}, ("status", IT), Exit.FAIL),
    ("agent", {"journal": {"path": "{here}/full/journal.db"}}, ("measure", IT, "--probe", "stamp"),
     Exit.UNDECIDED),
    ("peer", {"tests": {"path": "{here}/full/tests.db"}}, ("check", IT), Exit.UNAVAILABLE),
    ("collector", {"ledger": {"path": "{here}/full/ledger.db"}}, ("run", IT), Exit.CANNOT_CREATE),
    ("collector", {}, ("ledger", "create", "{here}/full/ledger.db"), Exit.CANNOT_CREATE),
    ("collector", {}, ("pki", "{here}/full", "--site", "A"), Exit.CANNOT_CREATE),
])  # fmt: skip
def test_a_full_folder_is_no_internal_error(
    tmp_path: Path, program: str, changed: dict[str, object], arguments: tuple[str, ...], code: Exit
) -> None:
    (tmp_path / "full").mkdir()
    written(tmp_path, program, changed)
    called = FILL.format(here=tmp_path, called=shlex.join(command(tmp_path, program, *arguments)))
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", called], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stdout + done.stderr
