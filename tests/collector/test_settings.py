import socket
from contextlib import closing
from pathlib import Path

import pytest

from collector import __main__ as program
from collector import settings
from collector.settings import CollectorSettings
from host.exits import Exit
from host.lock import Lock
from host.settings import SettingsError
from tests.brokers import mosquitto
from tests.processes import free_port

pytestmark = pytest.mark.usefixtures("log_as_before")

EXAMPLE = Path(__file__).parents[2] / "collector.yaml"


def test_the_example_has_the_defaults() -> None:
    assert settings.load(EXAMPLE) == CollectorSettings()


def test_nothing_listens_beyond_loopback_by_default() -> None:
    assert CollectorSettings().web.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("inventry: sites.csv", "inventry: no such setting; did you mean `inventory`?"),
        ("web: {prot: 1}", "web.prot: no such setting; did you mean `port`?"),
        ("web: {port: 70000}", "web.port: expected a whole number <= 65535"),
        ("web: {port: high}", "web.port: expected a whole number, got text"),
        ("web: {language: de}", "web.language: expected one of en, fr"),
        ("expose_fleet: maybe", "expose_fleet: expected true or false, got text"),
        (
            "ledger: {keep_payloads: 2 weeks}",
            "ledger.keep_payloads: unknown unit 'weeks': write one of ms, s, min, h, d",
        ),
        ("ledger: {reject_rows: 0}", "ledger.reject_rows: expected a whole number >= 100"),
        ("intake: {size: 10 kB}", "intake.size: at least 1 MB, so that the largest batch fits"),
        ("log_level: loud", "log_level: write one of debug, info, warning, error"),
        ("broker: {host: ''}", "broker.host: expected text of length >= 1"),
        ("broker: 1", "broker: expected a section of `key: value` lines, got a whole number"),
    ],
)
def test_wrong_settings_are_reported_with_their_key(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "collector.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError) as raised:
        settings.load(path)
    assert str(raised.value) == f"{path}: {expected}"


def write(directory: Path, broker_port: int, inventory: str = "site_id,name\nA,x\n", more: str = "") -> Path:
    (directory / "sites.csv").write_text(inventory)
    path = directory / "collector.yaml"
    path.write_text(
        f"inventory: {directory}/sites.csv\nbroker: {{port: {broker_port}{more}}}\n"
        f"ledger: {{path: {directory}/ledger.db}}\nweb: {{port: {free_port()}}}\n"
    )
    return path


def test_check_finds_everything_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mosquitto(tmp_path) as broker:
        path = write(tmp_path, broker.port)
        assert program.command(["check", str(path)]) == Exit.OK
    assert capsys.readouterr().out == (
        f"ok     settings: {path}\n"
        f"ok     inventory: {tmp_path}/sites.csv: 1 site, 0 with a floor other than 8.00 Mbit/s\n"
        f"ok     ledger: {tmp_path}/ledger.db: does not exist yet; it will be created\n"
        f"ok     web: 127.0.0.1:{settings.load(path).web.port}\n"
        f"ok     broker: 127.0.0.1:{broker.port}: connected\n"
    )
    assert not (tmp_path / "ledger.db").exists()


def test_check_reports_everything_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    path = write(tmp_path, port, "site_id,name\n#,x\nB,\n")
    (tmp_path / "ledger.db").write_text("no ledger " * 1000)
    assert program.command(["check", str(path)]) == Exit.CONFIGURATION
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "ok     settings",
        "WRONG  inventory",
        "WRONG  inventory",
        "WRONG  ledger",
        "ok     web",
        "WRONG  broker",
    ]
    assert lines[3].endswith("ledger.db: file is not a database: this is no ledger: name another file")
    advice = "nothing listens there: is the broker running, and is the port right?"
    assert lines[5] == f"WRONG  broker: 127.0.0.1:{port}: {advice}"


def test_check_distinguishes_a_taken_port_from_that_of_a_running_collector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, free_port())
    web = settings.load(path).web
    with closing(socket.socket()) as taken:
        taken.bind((web.host, web.port))
        taken.listen()
        assert program.command(["check", str(path)]) == Exit.UNAVAILABLE
        wanted = f"web: {web.host}:{web.port}"
        strangers = f"WRONG  {wanted}: Address already in use: name another host or port\n"
        assert strangers in capsys.readouterr().out
        running = Lock(tmp_path / "ledger.db")
        program.command(["check", str(path)])
        running.release()
        assert f"ok     {wanted}, in use by the running collector\n" in capsys.readouterr().out


def test_check_of_wrong_settings_is_a_finding_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "collector.yaml"
    path.write_text("inventry: sites.csv")
    assert program.command(["check", str(path)]) == Exit.CONFIGURATION
    text = f"{path}: inventry: no such setting; did you mean `inventory`?"
    assert capsys.readouterr() == (f"WRONG  settings: {text}\n", "")


def test_run_names_the_settings_file_whose_broker_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, 1, more=", password_file: nowhere")
    assert program.command(["run", str(path)]) == Exit.CONFIGURATION
    text = f"plancher-collector: {path}: broker.password_file: of no use without broker.username\n"
    assert capsys.readouterr().err == text


def test_check_refuses_a_password_that_others_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "password"
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    path = write(tmp_path, 1, more=f", username: u, password_file: {secret}")
    assert program.command(["check", str(path)]) == Exit.CONFIGURATION
    out = capsys.readouterr().out
    assert f"broker.password_file: {secret}: others can read it: chmod 600 {secret}" in out
    assert "s3cret" not in out


@pytest.mark.parametrize(
    ("inventory", "expected", "code"),
    [
        (
            "site_id,name\nA,\n",
            "plancher-collector: {dir}/sites.csv, line 2, column name: empty\n",
            Exit.CONFIGURATION,
        ),
        (
            "site_id,name\nA,x\n",
            "plancher-collector: ledger {dir}/ledger.db: file is not a database",
            Exit.CANNOT_CREATE,
        ),
    ],
)
def test_run_ends_with_a_message_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], inventory: str, expected: str, code: Exit
) -> None:
    path = write(tmp_path, 1, inventory)
    (tmp_path / "ledger.db").write_text("no ledger " * 1000)
    assert program.command(["run", str(path)]) == code
    assert expected.format(dir=tmp_path) in capsys.readouterr().err


def test_run_names_a_taken_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path = write(tmp_path, 1)
        path.write_text(path.read_text().partition("web:")[0] + f"web: {{port: {port}}}\n")
        assert program.command(["run", str(path)]) == Exit.UNAVAILABLE
    text = capsys.readouterr().err
    assert f"plancher-collector: web: 127.0.0.1:{port}: " in text
    assert text.endswith(": name another host or port\n")


def test_a_missing_file_and_a_wrong_command_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError) as raised:
        program.command(["run", str(tmp_path / "none.yaml")])
    assert str(raised.value).endswith("none.yaml: no such file: give the path of a settings file")
    with pytest.raises(SystemExit) as exited:
        program.command(["fly"])
    assert exited.value.code == Exit.USAGE
    capsys.readouterr()
