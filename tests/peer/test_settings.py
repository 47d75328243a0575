"""Settings of the peer: the example, and mistakes with their exact messages."""

from pathlib import Path

import pytest

from host import shared_key
from host.settings import SettingsError
from outbox.delivery.pace import Pace
from peer import settings
from peer.admission import AdmissionLimits
from wire.udpstp.reception import Limits

ROOT = Path(__file__).parents[2]
KEY_LINE = "expected a key id of 0 to 255 without leading zeros, a space, and the secret"
LENGTH = "a key has 16 to 64 bytes: make one with openssl rand -hex 24"
KEYS = "keys: [{id: 1, key: something-something}]\n"


def written(directory: Path, text: str) -> Path:
    path = directory / "peer.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def private(directory: Path, text: str, mode: int = 0o600, name: str = "keys") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def refusal(directory: Path, text: str) -> str:
    """Return why a file of settings, or the keys that it names, are refused."""
    with pytest.raises(SettingsError) as raised:
        settings.secrets(settings.load(written(directory, text)))
    return str(raised.value)


def test_the_example_is_valid() -> None:
    chosen = settings.load(ROOT / "peer.yaml")
    assert settings.secrets(chosen) == {1: shared_key.EXAMPLE.encode()}
    assert (chosen.host, chosen.udpstp.port, chosen.stamp.port) == ("127.0.0.1", 24601, 8862)
    assert chosen.admission == AdmissionLimits(1_000_000_000, 1_000_000_000, 32, None)
    assert chosen.limits == Limits(highest_row=1000, longest_s=60)
    assert (chosen.name, chosen.broker) == ("peer", None)
    assert chosen.reflector({1: b"k"}).keys == (b"k",)


def test_the_example_has_the_defaults() -> None:
    chosen = settings.load(ROOT / "peer.yaml")
    assert chosen.udpstp == settings.UdpstpSettings()
    assert chosen.tests == settings.TestRecordSettings()
    assert chosen.tests.pace == Pace(interval_s=10, backlog_interval_s=1, receipt_timeout_s=60)
    default = settings.ReflectorServerSettings()
    assert (chosen.stamp.sessions, chosen.stamp.open) == (default.sessions, default.open)


@pytest.mark.parametrize(("text", "message"), [
    ("", "keys: none: agents are served only with a shared key; set keys or keys_file"),
    (KEYS + "hots: 1", "hots: no such setting; did you mean `host`?"),
    (KEYS + "host: peer.example",
     "host: not an IP address: the one to listen at, or 0.0.0.0 for all of this machine"),
    (KEYS + "log_level: loud", "log_level: expected one of debug, info, warning, error"),
    ("keys: [{id: 1}]", "keys[0]: set exactly one of key and key_file"),
    ("keys: [{id: 1, key: a, key_file: b}]", "keys[0]: set exactly one of key and key_file"),
    (KEYS + "udpstp: {highest_rate: 2 Gbit/s}", "udpstp.highest_rate: out of range: 1 Mbit/s to 1 Gbit/s"),
    (KEYS + "udpstp: {test_ports: '40000'}",
     "udpstp.test_ports: expected two ports of 1024 to 65535, such as 40000-40099, or null"),
    (KEYS + "udpstp: {test_ports: 40099-40000}",
     "udpstp.test_ports: expected two ports of 1024 to 65535, such as 40000-40099, or null"),
    (KEYS + "udpstp: {test_ports: 40000-40009}",
     "udpstp.test_ports: 10 ports for udpstp.tests: 32: give each test one"),
    (KEYS + "udpstp: {longest_test: 500 ms}", "udpstp.longest_test: out of range: 1 s to 1 h"),
    (KEYS + "name: pop/1", "name: expected 1 to 64 letters, digits, _ and -, the first a letter or digit"),
    (KEYS + "tests: {size: 10 kB}", "tests.size: out of range: at least 1 MB"),
    (KEYS + "tests: {interval: 0 s}", "tests.interval: out of range: up to 1 h"),
    (KEYS + "tests: {receipt_timeout: 2 h}", "tests.receipt_timeout: out of range: up to 1 h"),
    (KEYS + "broker: {hots: a}", "broker.hots: no such setting; did you mean `host`?"),
    (KEYS + "udpstp: {up: 50 Mbit/s}",
     "udpstp.up: less than udpstp.highest_rate: no such test could ever be admitted"),
])  # fmt: skip
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    assert refusal(tmp_path, text) == f"{tmp_path}/peer.yaml: {message}"


@pytest.mark.parametrize("text", [
    "keys: [{id: 256, key: a}]", "keys: [{id: one, key: a}]", KEYS + "udpstp: {port: 0}",
    KEYS + "udpstp: {tests: 0}", KEYS + "stamp: {open: maybe}", KEYS + "udpstp: {down: 8}",
    "keys: [{id: 1, key: secret-stuff, key: 5}]",
])  # fmt: skip
def test_messages_never_have_a_key_in_them(tmp_path: Path, text: str) -> None:
    message = refusal(tmp_path, text)
    assert message.startswith(f"{tmp_path}/peer.yaml: ")
    assert "secret-stuff" not in message


def test_a_file_of_keys_and_a_file_of_one_key(tmp_path: Path) -> None:
    lines = private(tmp_path, "\ufeff# sites\r\n2 two words, sixteen \r\n\n 255 last-of-sixteen-bytes\n")
    single = private(tmp_path, "\ufeffone-of-sixteen-bytes \r\n", name="single")
    path = written(tmp_path, f"keys: [{{id: 1, key_file: {single}}}]\nkeys_file: {lines}\n")
    assert settings.secrets(settings.load(path)) == {
        1: b"one-of-sixteen-bytes",
        2: b"two words, sixteen",
        255: b"last-of-sixteen-bytes",
    }


@pytest.mark.parametrize(("lines", "mode", "message"), [
    ("1 hidden\n", 0o640, "keys_file: {path}: others can read it: chmod 600 {path}"),
    ("hidden\n", 0o600, "keys_file: {path}: line 1: " + KEY_LINE),
    ("1 a-fine-key-of-16-bytes\n256 hidden-hidden-hidden\n", 0o600,
     "keys_file: {path}: line 2: " + KEY_LINE),
    ("1 a-fine-key-of-16-bytes\n015 hidden-hidden-hidden\n", 0o600,
     "keys_file: {path}: line 2: " + KEY_LINE),
    ("1 fifteen-hidden\n", 0o600, "keys_file: {path}: line 1: " + LENGTH),
    ("1 a-fine-key-of-16-bytes\n\ufeff2 hidden-hidden-hidden\n", 0o600,
     "keys_file: {path}: line 2: " + KEY_LINE),
    ("1 hidden-hidden-\u200bhidden\n", 0o600,
     "keys_file: {path}: line 1: a character in it cannot be seen: write the key anew"),
    ("1 a-fine-key-of-16-bytes\n1 hidden-hidden-hidden\n", 0o600,
     "keys_file: {path}: line 2: key id 1 is there twice: keep one"),
    ("1 " + "hidden" * 11, 0o600, "keys_file: {path}: line 1: " + LENGTH),
    ("", 0o600, "keys: none found: agents are served only with a shared key"),
    (None, 0o600,
     ('keys_file: {path}: no such file: make it with a first key: echo "1 $(openssl rand -hex 24)" > {path}'
      " (and chmod 600)")),
])  # fmt: skip
def test_an_unusable_file_of_keys_is_refused_by_line_and_without_a_key(
    tmp_path: Path, lines: str | None, mode: int, message: str
) -> None:
    path = tmp_path / "none" if lines is None else private(tmp_path, lines, mode)
    assert refusal(tmp_path, f"keys_file: {path}") == message.format(path=path)


@pytest.mark.parametrize("host", ["0.0.0.0", "'::'", "192.0.2.1"])
def test_the_example_key_is_refused_beyond_loopback(tmp_path: Path, host: str) -> None:
    assert refusal(tmp_path, f"host: {host}\nkeys: [{{id: 1, key: {shared_key.EXAMPLE}}}]") == (
        "keys[0]: the example key is known to everybody: only a peer on this machine may use it"
    )


def test_settings_do_not_show_a_key(tmp_path: Path) -> None:
    chosen = settings.load(written(tmp_path, "keys: [{id: 1, key: hidden-hidden-hidden}]"))
    assert "hidden" not in repr(chosen)


def test_test_ports_are_a_range_or_any(tmp_path: Path) -> None:
    ranged = settings.load(written(tmp_path, KEYS + "udpstp: {test_ports: 40000-40031}"))
    assert ranged.test_ports == range(40000, 40032)
    assert settings.load(written(tmp_path, KEYS)).test_ports == (0,)
