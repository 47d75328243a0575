"""Settings file of the peer, ``peer.yaml``, and the keys shared with agents. Quantities have a unit."""

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from host import log, settings, shared_key
from host.settings import SettingsError
from host.units import BitRate, ByteSize, Seconds
from net.broker_rules import broker_problem
from net.mqtt import Broker
from outbox.delivery.pace import Pace
from peer.admission import AdmissionLimits
from wire.messages import topics
from wire.stamp import packet
from wire.stamp.reflector import MOST_KEYS, ReflectorSettings
from wire.udpstp import pdu
from wire.udpstp.rates import HIGH_SPEED_ROW
from wire.udpstp.reception import Limits

# keyId is one octet of the Setup Request (RFC 9946 section 6.1).
MAX_KEY_ID = 255
_PORTS = re.compile(r"([1-9][0-9]{3,4})-([1-9][0-9]{3,4})")
_KEY_ID = re.compile(r"0|[1-9][0-9]{0,2}")
LEAST_SIZE = 1_000_000
BACKLOG_INTERVAL_S = 1.0

Port = Annotated[int, Meta(ge=1, le=65535)]
KeyId = Annotated[int, Meta(ge=0, le=MAX_KEY_ID)]


class KeySettings(Struct, frozen=True):
    """One shared secret: ``key`` itself, or ``key_file`` with the secret alone; exactly one is set."""

    id: KeyId
    key: str | None = None
    key_file: str | None = None

    # A traceback or a log line must not show the secret.
    def __repr__(self) -> str:
        return f"KeySettings({self.id})"


class UdpstpSettings(Struct, frozen=True):
    """Load tests (RFC 9946): limits of one test and of all together; ``down`` and ``up`` as agents see them.

    A fixed-rate test above ``highest_rate`` is refused. A search reserves the rate that it asks for, up to
    ``highest_rate``, and ends its climb there. ``test_ports``, such as ``40000-40099``, are the UDP ports of
    the tests, for a firewall; null for any free port.
    """

    port: Port = pdu.WELL_KNOWN_PORT
    test_ports: str | None = None
    highest_rate: BitRate = BitRate(1_000_000_000)
    longest_test: Seconds = Seconds(60)
    down: BitRate = BitRate(1_000_000_000)
    up: BitRate = BitRate(1_000_000_000)
    tests: Annotated[int, Meta(ge=1, le=256)] = 32
    tests_per_key: Annotated[int, Meta(ge=1, le=256)] | None = None


class ReflectorServerSettings(Struct, frozen=True):
    """STAMP Session-Reflector (RFC 8762). With ``open`` it also answers in unauthenticated mode."""

    port: Port = packet.WELL_KNOWN_PORT
    # 6,000 sites with five DSCP classes each.
    sessions: Annotated[int, Meta(ge=1, le=1_000_000)] = 32_768
    open: bool = False


class TestRecordSettings(Struct, frozen=True):
    """Records of the load tests served: the file, its bounds, and the pace of sending."""

    __test__ = False  # pytest would collect a class of this name

    path: str = "var/peer/tests.db"
    size: ByteSize = ByteSize(100_000_000)
    interval: Seconds = Seconds(10)
    receipt_timeout: Seconds = Seconds(60)

    @property
    def pace(self) -> Pace:
        """Pace of sending the records."""
        return Pace(float(self.interval), BACKLOG_INTERVAL_S, float(self.receipt_timeout))


class PeerSettings(Struct, frozen=True):
    """Settings of a peer. Its keys are those of ``keys`` and of ``keys_file`` together.

    ``name`` is the peer's name in agents' settings (``peer.name``). Without a ``broker``, tests are recorded
    in the log alone.
    """

    name: str = "peer"
    host: str = "127.0.0.1"
    keys: tuple[KeySettings, ...] = ()
    keys_file: str | None = None
    udpstp: UdpstpSettings = field(default_factory=UdpstpSettings)
    stamp: ReflectorServerSettings = field(default_factory=ReflectorServerSettings)
    broker: Broker | None = None
    tests: TestRecordSettings = field(default_factory=TestRecordSettings)
    log_level: str = "info"

    @property
    def admission(self) -> AdmissionLimits:
        """Limits of all tests together."""
        udpstp = self.udpstp
        return AdmissionLimits(int(udpstp.down), int(udpstp.up), udpstp.tests, udpstp.tests_per_key)

    @property
    def test_ports(self) -> Sequence[int]:
        """Ports of load tests; 0 is any free one."""
        found = _PORTS.fullmatch(self.udpstp.test_ports or "")
        return range(int(found[1]), int(found[2]) + 1) if found else (0,)

    @property
    def limits(self) -> Limits:
        """Limits of one test. Row r of the sending rates sends r Mbit/s."""
        return Limits(int(self.udpstp.highest_rate) // 1_000_000, int(self.udpstp.longest_test))

    def reflector(self, secrets: dict[int, bytes]) -> ReflectorSettings:
        """Settings of the reflector with these keys."""
        return ReflectorSettings(
            keys=tuple(secrets.values()), open_mode=self.stamp.open, most_sessions=self.stamp.sessions
        )


def load(path: Path) -> PeerSettings:
    """Read and check a settings file. Raises SettingsError, whose text is one line for an operator."""
    loaded = settings.load(path, PeerSettings)
    problem = first_problem(loaded)
    if problem:
        raise SettingsError(f"{path}: {problem}")
    return loaded


def first_problem(chosen: PeerSettings) -> str | None:
    """Describe the first broken rule, or return None. The text never has a secret in it."""
    return next(
        (problem for check in (_name, _host, _keys, _udpstp, _tests) if (problem := check(chosen))), None
    )


def _name(chosen: PeerSettings) -> str | None:
    if not topics.is_site_id(chosen.name):
        return "name: expected 1 to 64 letters, digits, _ and -, the first a letter or digit"
    return None


def _host(chosen: PeerSettings) -> str | None:
    try:
        ipaddress.ip_address(chosen.host)
    except ValueError:
        return "host: not an IP address: the one to listen at, or 0.0.0.0 for all of this machine"
    if chosen.broker is not None and (problem := broker_problem(chosen.broker)):
        return problem
    if chosen.log_level not in log.LEVELS:
        return f"log_level: expected one of {', '.join(log.LEVELS)}"
    return None


def _keys(chosen: PeerSettings) -> str | None:
    if not chosen.keys and chosen.keys_file is None:
        return "keys: none: agents are served only with a shared key; set keys or keys_file"
    for index, key in enumerate(chosen.keys):
        if (key.key is None) == (key.key_file is None):
            return f"keys[{index}]: set exactly one of key and key_file"
    return None


def _udpstp(chosen: PeerSettings) -> str | None:
    udpstp = chosen.udpstp
    if not 1_000_000 <= udpstp.highest_rate <= HIGH_SPEED_ROW * 1_000_000:
        return "udpstp.highest_rate: out of range: 1 Mbit/s to 1 Gbit/s"
    if udpstp.test_ports is not None:
        ports = chosen.test_ports
        if not ports or not 1024 <= ports[0] <= ports[-1] <= 65535:
            return "udpstp.test_ports: expected two ports of 1024 to 65535, such as 40000-40099, or null"
        if len(ports) < udpstp.tests:
            return (
                f"udpstp.test_ports: {len(ports)} ports for udpstp.tests: {udpstp.tests}: give each test one"
            )
    if not 1 <= udpstp.longest_test <= 3600:
        return "udpstp.longest_test: out of range: 1 s to 1 h"
    for name, rate in (("down", udpstp.down), ("up", udpstp.up)):
        # Such a test would pass the limits of one test, and then be denied for ever.
        if rate < udpstp.highest_rate:
            return f"udpstp.{name}: less than udpstp.highest_rate: no such test could ever be admitted"
    return None


def _tests(chosen: PeerSettings) -> str | None:
    tests = chosen.tests
    if tests.size < LEAST_SIZE:
        return "tests.size: out of range: at least 1 MB"
    if not 0 < tests.interval <= 3600:
        return "tests.interval: out of range: up to 1 h"
    if not 0 < tests.receipt_timeout <= 3600:
        return "tests.receipt_timeout: out of range: up to 1 h"
    return None


def secrets(chosen: PeerSettings) -> dict[int, bytes]:
    """Read every shared secret, by key id. Raises SettingsError, without a secret in its text."""
    found: dict[int, bytes] = {}
    for index, key in enumerate(chosen.keys):
        place = f"keys[{index}]"
        _add(found, place, key.id, _text(f"{place}.key_file", key), chosen.host)
    if chosen.keys_file is not None:
        path = Path(chosen.keys_file)
        source = f"""make it with a first key: echo "1 $(openssl rand -hex 24)" > {path}"""
        lines = shared_key.read_private("keys_file", path, source).splitlines()
        for number, line in enumerate(lines, start=1):
            if line.strip() and not line.lstrip().startswith("#"):
                place = f"keys_file: {chosen.keys_file}: line {number}"
                _add(found, place, *_key_line(place, line), chosen.host)
    if not 1 <= len(found) <= MOST_KEYS:
        raise SettingsError("keys: none found: agents are served only with a shared key")
    return found


def _text(place: str, key: KeySettings) -> str:
    if key.key is not None:
        # As in a file, where an editor adds a line end: both forms then give the same secret.
        return key.key.strip()
    source = f"make one: openssl rand -hex 24 > {key.key_file}"
    return shared_key.read_private(place, Path(key.key_file or ""), source).strip()


def _key_line(place: str, line: str) -> tuple[int, str]:
    parts = line.split(maxsplit=1)
    if len(parts) != 2 or not _KEY_ID.fullmatch(parts[0]) or int(parts[0]) > MAX_KEY_ID:
        raise SettingsError(
            f"{place}: expected a key id of 0 to {MAX_KEY_ID} without leading zeros, a space, and the secret"
        )
    # Only the ends are stripped: a secret may contain spaces.
    return int(parts[0]), parts[1].strip()


def _add(found: dict[int, bytes], place: str, key_id: int, text: str, host: str) -> None:
    if key_id in found:
        raise SettingsError(f"{place}: key id {key_id} is there twice: keep one")
    if problem := shared_key.problem(text, on_loopback=ipaddress.ip_address(host).is_loopback):
        raise SettingsError(f"{place}: {problem}")
    found[key_id] = text.encode()
