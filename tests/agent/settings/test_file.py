import stat
from pathlib import Path

import pytest

from agent.configuration import load
from agent.probes.interface.settings import InterfaceSettings
from agent.settings.file import peer_key, snmp_community, with_community
from agent.settings.sections import AgentSettings, SnmpSettings
from host.settings import SettingsError
from net.addresses.host_text import host_problem

HOURS_HELP = "write 07:00-19:00 or Mon-Fri 07:00-19:00, several separated by ;"
SNMP = "line_counters: {source: snmp, snmp: {host: r, interface: 1, "
GOOD = "site: 0631234A\npeer: {key: example-key-change-me}\n"


def read(tmp_path: Path, text: str) -> AgentSettings:
    path = tmp_path / "agent.yaml"
    path.write_text(text)
    return load(path)


def test_two_lines_are_enough_on_one_machine(tmp_path: Path) -> None:
    settings = read(tmp_path, GOOD)
    assert (settings.site, settings.peer.host, settings.floor.down) == ("0631234A", "127.0.0.1", 8_000_000)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "missing setting `site`"),
        ("site: A\n", "missing setting `peer`"),
        ("site: A\npere: {}\n", "pere: no such setting; did you mean `peer`?"),
        (GOOD + "floor: {donw: 8 Mbit/s}\n", "floor.donw: no such setting; did you mean `down`?"),
        (GOOD + "floor: {down: fast}\n", "floor.down: expected a quantity such as '8 Mbit/s', got 'fast'"),
        (
            GOOD + "floor: {down: 999 kbit/s}\n",
            (
                "floor.down: out of range: 1 Mbit/s to 1 Gbit/s, or null for none; a number without a unit is"
                " bit/s"
            ),
        ),
        (
            GOOD + "floor: {up: 1001 Mbit/s}\n",
            "floor.up: out of range: 1 Mbit/s to 1 Gbit/s, or null for none",
        ),
        (
            GOOD + "floor: {up: 1 Gbit/s, layer: tcp}\n",
            "floor.up: out of range: more than 1 Gbit/s of IP packets at this floor.layer",
        ),
        (
            GOOD + "floor: {pre_drain: 99 kB}\n",
            "floor.pre_drain: out of range: 100 kB to 100 MB, or 0 B for never",
        ),
        (
            GOOD + "floor: {site_hours: Mon-Fri}\n",
            f"floor.site_hours: 'Mon': not a time of day: {HOURS_HELP}",
        ),
        (
            GOOD + "floor: {quiet_hours: Lun 01:00-05:00}\n",
            "floor.quiet_hours: 'Lun': not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun",
        ),
        (GOOD + "floor: {retest_after: 1 s}\n", "floor.retest_after: out of range: 5 s to 1 d"),
        (
            GOOD + "capacity: {hours: '01:00-01:00'}\n",
            "capacity.hours: '01:00-01:00': the begin is the end: for the whole day write 00:00-24:00",
        ),
        (
            "site: a/b\npeer: {key: key-of-sixteen-bytes}\n",
            "site: not a site id: 1 to 64 letters, digits, - and _, beginning with a letter or digit",
        ),
        (
            "site: '+'\npeer: {key: key-of-sixteen-bytes}\n",
            "site: not a site id: 1 to 64 letters, digits, - and _, beginning with a letter or digit",
        ),
        (
            "site: A\npeer: {name: 'a b', key: key-of-sixteen-bytes}\n",
            "peer.name: not a name: 1 to 64 letters, digits, . - and _, beginning with a letter or digit",
        ),
        (
            "site: A\npeer: {host: a..b, key: key-of-sixteen-bytes}\n",
            "peer.host: neither a host name nor an address",
        ),
        (
            GOOD + "broker: {host: 'mqtts://b.example'}\n",
            "broker.host: write the host alone, without mqtt:// or the like",
        ),
        (
            "site: A\npeer: {host: 10.0.010.1, key: k}\n",
            "peer.host: not an address: four numbers of 0 to 255 without leading zeros",
        ),
        (
            (SNMP + "community: c}}\n" + GOOD).replace("host: r", "host: 'r:161'"),
            "line_counters.snmp.host: write the host alone; the port is a setting of its own",
        ),
        (
            "site: A\npeer: {key: key-of-sixteen-bytes, key_id: 015}\n",
            (
                "peer.key_id: line 2: a number with a leading zero, a colon or the like:"
                " write it in plain digits, or a text in quotes"
            ),
        ),
        (
            "site: A\npeer: {host: 'a b', key: key-of-sixteen-bytes}\n",
            "peer.host: neither a host name nor an address",
        ),
        (
            "site: A\npeer: {host: 192.0.2.1}\n",
            "peer: no key: set peer.key_file (or peer.key) to the secret shared with the peer",
        ),
        (
            "site: A\npeer: {key: key-of-sixteen-bytes, key_file: f}\n",
            "peer: both key and key_file are set: keep one",
        ),
        (
            "site: A\npeer: {key: ''}\n",
            "peer.key: a key has 16 to 64 bytes: make one with openssl rand -hex 24",
        ),
        (
            "site: A\npeer: {key: " + "k" * 65 + "}\n",
            "peer.key: a key has 16 to 64 bytes: make one with openssl rand -hex 24",
        ),
        (
            "site: A\npeer: {key: 12}\n",
            "peer.key: expected text or nothing, got a whole number: write it in quotes",
        ),
        (
            "site: A\npeer: {key: key-of-sixteen-bytes, key_id: 256}\n",
            "peer.key_id: expected a whole number <= 255",
        ),
        (
            "site: A\npeer: {key: key-of-sixteen-bytes, stamp_port: 0}\n",
            "peer.stamp_port: expected a whole number >= 1",
        ),
        (
            "site: A\npeer: {host: peer.example, key: example-key-change-me}\n",
            "peer.key: the example key is known to everybody: only a peer on this machine may use it",
        ),
        (
            GOOD + "stamp: {classes: [{name: a, dscp: 46}, {name: b, dscp: 46}]}\n",
            "stamp.classes: two classes have the same dscp: keep one",
        ),
        (
            GOOD + "stamp: {classes: [{name: a, dscp: 64}]}\n",
            "stamp.classes[0].dscp: expected a whole number <= 63",
        ),
        (
            GOOD + "stamp: {classes: [{name: a, dcsp: 4}]}\n",
            "stamp.classes[0].dcsp: no such setting; did you mean `dscp`?",
        ),
        (
            GOOD + "schedule: {capacity: 59 min}\n",
            "schedule.capacity: out of range: 1 h to 366 d, or null for never",
        ),
        (GOOD + "capacity: {highest: 2 Gbit/s}\n", "capacity.highest: out of range: 1 Mbit/s to 1 Gbit/s"),
        (GOOD + "capacity: {duration: 4 s}\n", "capacity.duration: out of range: whole seconds, 5 s to 60 s"),
        (
            GOOD + "capacity: {duration: 7.5 s}\n",
            "capacity.duration: out of range: whole seconds, 5 s to 60 s",
        ),
        (GOOD + "capacity: {month_budget: 1 GB}\n", "capacity.month_budget: less than capacity.day_budget"),
        (GOOD + "stamp: {spacing: 0}\n", "stamp.spacing: out of range: 10 ms to 10 s"),
        (
            GOOD + "stamp: {reflector: twamp-light}\n",
            "stamp.reflector: twamp-light knows no authentication: set stamp.authenticated to false",
        ),
        (GOOD + "stamp: {timeout: 1 min}\n", "stamp.timeout: out of range: 100 ms to 10 s"),
        (GOOD + "schedule: {floor: 1 s}\n", "schedule.floor: out of range: 10 s to 1 d"),
        (
            GOOD + "schedule: {stamp: 5 s}\n",
            "schedule.stamp: shorter than one train of stamp.packets, which takes up to 12 s",
        ),
        (GOOD + "schedule: {stamp: 2 d}\n", "schedule.stamp: out of range: 1 ms to 1 d"),
        (
            GOOD + "schedule: {path: 5 min}\n",
            "schedule.path: out of range: 15 min to 31 d, or null for never",
        ),
        (GOOD + "path: {timeout: 1 s}\n", "path.timeout: out of range: 5 s to 10 min"),
        (GOOD + "path: {hops: 65}\n", "path.hops: expected a whole number <= 64"),
        (
            GOOD + "line_counters: {source: inline}\n",
            "line_counters.interface: missing: the interface that carries all traffic of the site",
        ),
        (
            GOOD + "line_counters: {source: directory}\n",
            "line_counters.path: missing: a directory like /sys/class/net/eth0/statistics",
        ),
        (
            GOOD + "line_counters: {source: snmp}\n",
            "line_counters.snmp: missing: the router's host, interface and community_file",
        ),
        (
            GOOD + "line_counters: {source: netflow}\n",
            "line_counters.source: expected inline, directory, snmp or none",
        ),
        (
            GOOD + "line_counters: {source: snmp, snmp: {host: a..b, interface: 1, community: x}}\n",
            "line_counters.snmp.host: neither a host name nor an address",
        ),
        (
            GOOD + "line_counters: {source: snmp, snmp: {host: router, interface: wan0}}\n",
            "line_counters.snmp: no community: set community_file (or community) to the router's",
        ),
        (
            GOOD + SNMP + "community: x, community_file: y}}\n",
            "line_counters.snmp: both community and community_file are set: keep one",
        ),
        (
            GOOD + SNMP + "community: ''}}\n",
            "line_counters.snmp.community: a community has 1 to 64 bytes",
        ),
        (
            GOOD + "line_counters: {source: snmp, snmp: {host: r, interface: 0, community: x}}\n",
            "line_counters.snmp.interface: expected a whole number >= 1",
        ),
        (
            GOOD
            + "line_counters: {source: snmp, snmp: {host: r, interface: 1, community: x, timeout: 9 s}}\n",
            "line_counters.snmp.timeout: out of range: 100 ms to 5 s",
        ),
        (
            GOOD + "schedule: {interface: 5 s}\n",
            "schedule.interface: out of range: 10 s to 1 h, or null for never",
        ),
        (
            GOOD + "interface: {read_every: 2 min}\n",
            "interface.read_every: out of range: 1 s to schedule.interface",
        ),
        (GOOD + "uplink: {interval: 0 s}\n", "uplink.interval: out of range: 1 s to 1 h"),
        (GOOD + "uplink: {receipt_timeout: 2 h}\n", "uplink.receipt_timeout: out of range: 1 s to 1 h"),
        (GOOD + "journal: {size: 1 kB}\n", "journal.size: out of range: 1 MB to 100 GB"),
        (GOOD + "log_level: loud\n", "log_level: expected one of debug, info, warning, error"),
        (GOOD + "broker: {port: mqtt}\n", "broker.port: expected a whole number, got text"),
        (
            GOOD + "broker: {pasword_file: x}\n",
            "broker.pasword_file: no such setting; did you mean `password_file`?",
        ),
    ],
)
def test_every_mistake_has_its_message(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text)
    assert str(caught.value) == f"{tmp_path}/agent.yaml: {message}"


@pytest.mark.parametrize("host", ["peer.example.", "fe80::1%eth0", "2001:db8::1", "10.0.0.1", "p-1_a"])
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert host_problem(host) is None


def key_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "peer.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_key_is_read_from_its_file(tmp_path: Path) -> None:
    path = key_file(tmp_path, "\ufeffa secret of sixteen bytes \r\n")
    settings = read(tmp_path, f"site: A\npeer: {{host: peer.example, key_file: {path}}}\n")
    assert peer_key(settings.peer) == b"a secret of sixteen bytes"
    # The same secret as in a peer's settings, which are stripped, too.
    settings = read(tmp_path, "site: A\npeer: {key: 'a secret of sixteen bytes '}\n")
    assert peer_key(settings.peer) == b"a secret of sixteen bytes"


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("a secret of sixteen bytes", 0o644, "others can read it: chmod 600"),
        ("fifteen bytes..", 0o600, "a key has 16 to 64 bytes"),
        ("", 0o600, "a key has 16 to 64 bytes: make one with openssl rand -hex 24"),
        ("example-key-change-me", 0o600, "the example key is known to everybody"),
    ],
)
def test_an_unusable_key_file_is_reported(tmp_path: Path, text: str, mode: int, message: str) -> None:
    path = key_file(tmp_path, text, mode)
    settings = read(tmp_path, f"site: A\npeer: {{host: peer.example, key_file: {path}}}\n")
    with pytest.raises(SettingsError, match=message) as caught:
        peer_key(settings.peer)
    assert text not in str(caught.value) or not text
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_missing_key_file_is_reported(tmp_path: Path) -> None:
    settings = read(tmp_path, f"site: A\npeer: {{key_file: {tmp_path}/none}}\n")
    with pytest.raises(SettingsError) as caught:
        peer_key(settings.peer)
    assert str(caught.value) == (
        f"peer.key_file: {tmp_path}/none: no such file: the operator of the peer has the key of this site:"
        " write it there (and chmod 600)"
    )


def test_a_community_in_a_file_is_read_and_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "community"
    secret.touch(mode=0o600)
    secret.write_text("s3cret\n")
    snmp = f"{{host: router, interface: wan0, community_file: {secret}}}"
    chosen = with_community(read(tmp_path, GOOD + f"line_counters: {{source: snmp, snmp: {snmp}}}\n"))
    assert chosen.line_counters.snmp is not None
    assert chosen.line_counters.snmp.community == "s3cret"
    assert "s3cret" not in repr(chosen)


def test_a_community_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "community"
    secret.touch(mode=0o644)
    with pytest.raises(SettingsError) as caught:
        snmp_community(SnmpSettings("router", "wan0", community_file=str(secret)))
    assert str(caught.value) == (
        f"line_counters.snmp.community_file: {secret}: others can read it: chmod 600 {secret}"
    )


def test_the_example_of_a_router_works_when_its_comments_are_taken_off(tmp_path: Path) -> None:
    example = (Path(__file__).parents[3] / "agent.yaml").read_text()
    begin = example.index("  #snmp:\n")
    section, rest = example[begin:].split("\n\n", 1)
    bare = "\n".join(line.replace("  #", "  ", 1) for line in section.splitlines())
    text = example[:begin].replace("source: none", "source: snmp") + bare + "\n\n" + rest
    chosen = read(tmp_path, text)
    assert chosen.line_counters.snmp == SnmpSettings(
        "192.168.1.1", "wan0", community_file="/etc/plancher/snmp-community", frame_bytes=18
    )
    assert (chosen.every_s("interface"), chosen.section(InterfaceSettings).read_every) == (60, 10)
