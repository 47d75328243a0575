"""Follow the installation guides in fresh Debian systems, command by command, to the first measurement."""

import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from collector.certificates.authority import Authority, Usage
from tests.documentation import ROOT, blocks, commands
from tests.guides.machine import Machine, machine, make_base, network

AGENT, COLLECTOR = (ROOT / "docs" / f"install-{name}.md" for name in ("agent", "collector"))
SITE, ADDRESS, BROKER = "0631234A", "10.77.0.1", "broker.example.net"
HOSTS = f"{ADDRESS} {BROKER} peer.example.net\n"
CONNECT, REFUSED = "101000044d5154540402003c000474657374", "20020005"  # MQTT 3.1.1: CONNECT, CONNACK
FIGURE_S = 300.0  # `schedule.first_within`, in which the guide promises the first figures
# Commands that cannot run as they stand, with what runs instead and why.
REPLACED = {
    "sysctl --quiet --system": ("sysctl --dry-run --system", "the kernel is this machine's"),
}
# Commands that may fail, and why.
MAY_FAIL = {"status": "nothing may be measured yet", "check": "the peer is not installed here"}


@dataclass
class Guide:
    """Account of one guide: commands run, and those that failed."""

    name: str
    count: int = 0
    failed: int = 0
    seconds: float = 0.0


def follow(page: Path, there: Machine, before: str | None = None) -> Guide:
    """Run the commands of a page up to the heading ``before``; stop at the first that fails."""
    guide, begun = Guide(page.name), time.monotonic()
    for line in _lines(page, before):
        command, why = REPLACED.get(line, (line, ""))
        print(f"  {there.name}# {command}{f'   [instead of: {line}; {why}]' if why else ''}", flush=True)
        done = there.run(command)
        guide.count += 1
        excuse = next((MAY_FAIL[word] for word in command.split() if word in MAY_FAIL), None)
        if done.returncode or excuse:
            print("    " + "\n    ".join(done.stdout.splitlines()[-30:]), flush=True)
        if done.returncode and (excuse is None or "systemctl" in command):
            print(f"  FAILED with exit status {done.returncode}", flush=True)
            if command.startswith("systemctl"):
                print(there.run(f"journalctl --unit={command.split()[-1]}").stdout)
            guide.failed += 1
            break
        if done.returncode:
            print(f"  exit status {done.returncode}, allowed: {excuse}", flush=True)
    guide.seconds = time.monotonic() - begun
    return guide


def _lines(page: Path, before: str | None) -> list[str]:
    """Return the commands of a page that stand before a heading."""
    if before is None:
        return commands(page)
    whole = page.read_text()
    with tempfile.NamedTemporaryFile("w", suffix=".md") as part:
        part.write(whole[: whole.index(f"\n{before}\n")])
        part.flush()
        return commands(Path(part.name))


def fill(servers: Machine, site: Machine, folder: Path) -> None:
    """Write the files that the guides take for granted into both checkouts."""
    authority = Authority(folder, "sites").make()
    broker, agent = authority.issue(BROKER, Usage.SERVER, names=[BROKER]), authority.issue(SITE)
    given = {
        servers: {
            "ca.pem": authority.certificate,
            "broker.pem": broker.certificate,
            "broker.key": broker.key,
        },
        site: {
            "broker-ca.pem": authority.certificate,
            "agent.pem": agent.certificate,
            "agent.key": agent.key,
        },
    }
    for there, files in given.items():
        for name, source in files.items():
            shutil.copy(source, there.checkout / name)
            print(f"  {there.name}: {name}: from a certificate authority made for this run")
    texts = (
        (servers, "collector.yaml", blocks(COLLECTOR, "yaml")[0]),
        (servers, "broker-password", "a-password-of-this-run\n"),
        (site, "agent.yaml", blocks(AGENT, "yaml")[0]),
        (site, "peer.key", "a-key-of-this-run-and-of-no-other\n"),
    )
    for there, name, text in texts:
        (there.checkout / name).write_text(text)
        print(
            f"  {there.name}: {name}: {'the block of the guide' if 'yaml' in name else 'a value of this run'}"
        )
    print(f"  both: {HOSTS.strip()} in /etc/hosts")


def refuses_anonymous_clients(servers: Machine) -> bool:
    """Tell whether the broker answers a client without a user name with *not authorized*."""
    ask = "import socket; s = socket.create_connection(('127.0.0.1', 1883), 10);"
    refused = servers.run(f'python3 -c "{ask} s.sendall(bytes.fromhex({CONNECT!r})); print(s.recv(4).hex())"')
    print(f"broker's answer to a client without a user name: {refused.stdout.strip()} (wanted: {REFUSED})")
    return refused.stdout.strip() == REFUSED


def first_measurement(servers: Machine) -> str | None:
    """Wait until the collector's metrics contain a measurement of the site; return its line."""
    fetch = "/opt/plancher/bin/python -c 'import urllib.request as r;"
    fetch += ' print(r.urlopen("http://127.0.0.1:8460/metrics").read().decode())\''
    until = time.monotonic() + FIGURE_S
    while time.monotonic() < until:
        for line in servers.run(fetch).stdout.splitlines():
            if f'site_id="{SITE}"' in line and line.startswith("qos_measurement_timestamp_seconds"):
                return line
        time.sleep(5)
    return None


def main() -> int:
    """Return 0 if every command ran and a measurement appeared, else 1."""
    if os.geteuid():
        print("needs root: chroot, mounts and a network namespace", file=sys.stderr)
        return 1
    make_base()
    print("systemctl and journalctl are stand-ins (tests/guides/systemctl.py): no systemd runs here.")
    print("Not followed: updating, backup, restoring, the peer, Prometheus and Alertmanager, the runbooks.")
    print("Without a peer, the first measurement is one that failed: nobody answers it.")
    folder = Path(tempfile.mkdtemp(prefix="plancher-guides-", dir="/var/tmp"))
    name = f"guides{os.getpid()}"
    try:
        with (
            network(name, ADDRESS),
            machine("servers", folder, name, HOSTS) as servers,
            machine("site", folder, name, HOSTS) as site,
        ):
            return _run(servers, site, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(servers: Machine, site: Machine, folder: Path) -> int:
    begun = time.monotonic()
    fill(servers, site, folder)
    guides = [follow(COLLECTOR, servers, before="## Backup")]
    if not guides[0].failed and refuses_anonymous_clients(servers):
        guides.append(follow(AGENT, site, before="## Updating"))
    figure = None if any(guide.failed for guide in guides) else first_measurement(servers)
    for guide in guides:
        print(
            f"{guide.name}: {guide.count} commands, {guide.seconds / 60:.1f} minutes, {guide.failed} failed"
        )
    minutes = (time.monotonic() - begun) / 60
    print(f"first measurement on the metrics page after {minutes:.1f} minutes: {figure or 'NONE'}")
    return 0 if figure else 1


if __name__ == "__main__":
    sys.exit(main())
