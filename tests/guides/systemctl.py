#!/usr/bin/python3
"""Stand-in for systemctl and journalctl in a system without systemd.

It runs a unit's ExecStartPre and ExecStart with its user, capabilities, environment and directories.
It restarts what the unit restarts.
Left out: sandboxing, control groups, limits, priorities, watchdog, ordering.
"""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PLACES = (Path("/etc/systemd/system"), Path("/lib/systemd/system"))
STATE = Path("/run/systemctl-stand-in")
READY_S = 60.0
_DIRECTORIES = {"StateDirectory": "/var/lib", "RuntimeDirectory": "/run", "ConfigurationDirectory": "/etc"}


class UnitFile:
    """Directives of a unit file; a directive may have several values."""

    def __init__(self, name: str) -> None:
        self.name = name
        path = next((place / name for place in PLACES if (place / name).exists()), None)
        if path is None:
            raise SystemExit(f"Unit {name} could not be found.")
        self._values: dict[str, list[str]] = {}
        for line in path.read_text().replace("\\\n", " ").splitlines():
            key, found, value = line.partition("=")
            if found and not line.startswith(("#", ";")):
                self._values.setdefault(key.strip(), []).append(value.strip())

    def all(self, key: str) -> list[str]:
        return self._values.get(key, [])

    def one(self, key: str, default: str = "") -> str:
        return (self.all(key) or [default])[-1]

    def environment(self) -> dict[str, str]:
        found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}
        pairs = [pair for line in self.all("Environment") for pair in shlex.split(line)]
        for name in self.all("EnvironmentFile"):
            with suppress(FileNotFoundError):
                lines = Path(name.removeprefix("-")).read_text().splitlines()
                pairs += [" ".join(shlex.split(line)) for line in lines if not line.lstrip().startswith("#")]
        return found | dict(pair.split("=", 1) for pair in pairs if "=" in pair)

    def command(self, line: str) -> list[str]:
        """Return the words of a command with its variables replaced; ``$NAME`` is split as systemd does."""
        known, words = self.environment(), []
        for word in shlex.split(line.lstrip("-+!@:").replace("$MAINPID", "")):
            if word.startswith("$") and not word.startswith("${"):
                words += shlex.split(known.get(word[1:], ""))
            else:
                for key, value in known.items():
                    word = word.replace(f"${{{key}}}", value)
                words.append(word)
        return [*self._become(), *words]

    def _become(self) -> list[str]:
        user = "nobody" if self.one("DynamicUser") == "yes" else self.one("User")
        if not user:
            return []
        rights = ",".join(
            f"+{one.removeprefix('CAP_').lower()}" for one in self.one("AmbientCapabilities").split()
        )
        kept = ["--inh-caps", rights, "--ambient-caps", rights] if rights else []
        group = "nogroup" if user == "nobody" else self.one("Group", user)
        return ["setpriv", "--reuid", user, "--regid", group, "--init-groups", *kept]

    def make_directories(self) -> None:
        for key, parent in _DIRECTORIES.items():
            for name in self.one(key).split():
                place = Path(parent, name)
                if place.exists() and key == "ConfigurationDirectory":
                    continue  # systemd does not change an existing one either
                place.mkdir(parents=True, exist_ok=True)
                place.chmod(int(self.one(f"{key}Mode", "0755"), 8))
                if self.one("User") and key != "ConfigurationDirectory":
                    shutil.chown(place, self.one("User"), self.one("Group") or None)


def _log(name: str) -> Path:
    return STATE / f"{name}.log"


def _pid(name: str) -> int | None:
    """Return the process of a unit's supervisor while it runs."""
    with suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid = int((STATE / f"{name}.pid").read_text())
        os.kill(pid, 0)
        return pid
    return None


def _start(unit: UnitFile) -> int:
    if _pid(unit.name):
        return 0
    (STATE / f"{unit.name}.state").write_text("activating")
    unit.make_directories()
    words = [sys.executable, __file__, "supervise", unit.name]
    with _log(unit.name).open("ab") as log:
        child = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (STATE / f"{unit.name}.pid").write_text(str(child.pid))
    until = time.monotonic() + READY_S
    while time.monotonic() < until and child.poll() is None:
        if _state(unit.name) == "active":
            return 0
        time.sleep(0.1)
    print(f"Job for {unit.name} failed: journalctl --unit={unit.name}", file=sys.stderr)
    return 1


def _state(name: str) -> str:
    with suppress(FileNotFoundError):
        state = (STATE / f"{name}.state").read_text()
        return state if _pid(name) else "failed" if state == "failed" else "inactive"
    return "inactive"


def _supervise(unit: UnitFile) -> None:
    signal.signal(signal.SIGTERM, _end)
    if unit.name.endswith(".socket"):
        _accept(unit)
    for line in unit.all("ExecStartPre"):
        subprocess.run(unit.command(line), env=unit.environment(), check=not line.startswith("-"))
    while True:
        code = _run(unit)
        refused = unit.one("RestartPreventExitStatus").split()
        wanted = unit.one("Restart", "no")
        again = wanted == "always" or (wanted == "on-failure" and code)
        if str(code) in refused or not again:
            (STATE / f"{unit.name}.state").write_text("failed" if code else "inactive")
            raise SystemExit(code)
        time.sleep(float(unit.one("RestartSec", "0.1").removesuffix("s")))


def _run(unit: UnitFile) -> int:
    """Run ExecStart once, mark the unit active when it is ready, and return its exit status."""
    place = STATE / f"{unit.name}.notify"
    place.unlink(missing_ok=True)
    STATE.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(place))
        place.chmod(0o666)
        environment = unit.environment() | {"NOTIFY_SOCKET": str(place)}
        folder = unit.one("WorkingDirectory", "/")
        os.umask(int(unit.one("UMask", "0022"), 8))
        child = subprocess.Popen(unit.command(unit.one("ExecStart")), env=environment, cwd=folder)
        notify.settimeout(0.2)
        waits = unit.one("Type") == "notify"
        while child.poll() is None:
            with suppress(TimeoutError):
                waits = b"READY=1" not in notify.recv(4096) and waits
            if not waits:
                (STATE / f"{unit.name}.state").write_text("active")
        return child.returncode


def _accept(unit: UnitFile) -> None:
    """Listen as a socket unit with Accept=yes, and start its service for each connection."""
    service = UnitFile(unit.name.replace(".socket", "@.service"))
    place = Path(unit.one("ListenStream"))
    place.unlink(missing_ok=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        shutil.chown(place, unit.one("SocketUser"), unit.one("SocketGroup"))
        place.chmod(int(unit.one("SocketMode"), 8))
        listening.listen()
        (STATE / f"{unit.name}.state").write_text("active")
        while True:
            with listening.accept()[0] as connection:
                subprocess.Popen(
                    service.command(service.one("ExecStart")),
                    stdin=connection,
                    stdout=connection,
                    env=service.environment(),
                )


def _end(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    raise SystemExit(0)


def _stop(name: str) -> int:
    pid = _pid(name)
    if pid is not None:
        os.killpg(pid, signal.SIGTERM)
        while _group_runs(pid):
            time.sleep(0.1)
    (STATE / f"{name}.state").write_text("inactive")
    return 0


def _group_runs(pid: int) -> bool:
    """Tell whether a process of the group still runs; zombies do not count."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            words = path.read_text().rpartition(")")[2].split()
            if int(words[2]) == pid and words[0] != "Z":
                return True
    return False


def _enable(unit: UnitFile) -> int:
    for target in unit.one("WantedBy").split():
        wants = PLACES[0] / f"{target}.wants"
        wants.mkdir(parents=True, exist_ok=True)
        (wants / unit.name).unlink(missing_ok=True)
        source = next(place / unit.name for place in PLACES if (place / unit.name).exists())
        (wants / unit.name).symlink_to(source)
    return 0


def _act(action: str, name: str) -> int:
    match action:
        case "start":
            return _start(UnitFile(name))
        case "stop":
            return _stop(UnitFile(name).name)
        case "restart":
            return _stop(UnitFile(name).name) or _start(UnitFile(name))
        case "enable":
            return _enable(UnitFile(name))
        case "status" | "is-active":
            state = _state(UnitFile(name).name)
            print(state if action == "is-active" else f"{name} (stand-in): {state}")
            return 0 if state == "active" else 3
    raise SystemExit(f"the stand-in for systemctl has no {action}")


def _main(words: list[str]) -> int:
    if Path(sys.argv[0]).name == "journalctl":
        for word in words:
            if word.startswith("--unit="):
                print(_log(word.removeprefix("--unit=")).read_text())
        return 0
    now, words = "--now" in words, [word for word in words if word != "--now"]
    STATE.mkdir(exist_ok=True)
    action, *names = words
    if action == "daemon-reload":
        return 0
    if action == "supervise":
        _supervise(UnitFile(names[0]))
    names = [name if "." in name else f"{name}.service" for name in names]
    actions = [action, *(["start"] if now else [])]
    return max(_act(one, name) for one in actions for name in names)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
