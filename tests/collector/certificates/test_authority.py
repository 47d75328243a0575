import ssl
import stat
import subprocess
from pathlib import Path

import pytest

from collector.__main__ import command
from collector.certificates.authority import Authority, PkiError, Usage
from host.exits import Exit
from tests.servers import require

EVERYTHING = (
    *("--broker", "127.0.0.1", "--broker", "mqtt.example", "--collector"),
    *("--peer", "--peer", "plancher.peer.north", "--site", "0631234A", "--site", "B"),
)


def described(certificate: Path) -> str:
    shown = subprocess.run(
        [require("openssl"), "x509", "-in", certificate, "-noout", "-text"],
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    return shown.stdout


def test_everything_a_trial_needs_in_one_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pki"
    assert command(["pki", str(folder), *EVERYTHING]) == Exit.OK
    names = ("ca", "broker", "sites/0631234A", "sites/B", "plancher.collector", "plancher.peer")
    made = [folder / f"{name}.pem" for name in (*names, "plancher.peer.north")]
    assert capsys.readouterr().out.splitlines() == [str(path) for path in made]
    for certificate in made:
        context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        assert stat.S_IMODE(certificate.with_suffix(".key").stat().st_mode) == 0o600


def test_each_certificate_is_for_its_name_and_use(tmp_path: Path) -> None:
    assert command(["pki", str(tmp_path), *EVERYTHING, "--days", "7"]) == Exit.OK
    site, broker = described(tmp_path / "sites" / "0631234A.pem"), described(tmp_path / "broker.pem")
    assert "Subject: CN = 0631234A" in site
    assert "TLS Web Client Authentication" in site
    assert "DNS:mqtt.example" in broker
    assert "IP Address:127.0.0.1" in broker
    assert "TLS Web Server Authentication" in broker
    assert "CA:TRUE, pathlen:0" in described(tmp_path / "ca.pem")


def test_nothing_is_overwritten_and_the_same_authority_issues_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["pki", str(tmp_path), "--site", "A"]) == Exit.OK
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert command(["pki", str(tmp_path), "--site", "A"]) == Exit.CANNOT_CREATE
    assert capsys.readouterr().err == (
        f"plancher-collector: {tmp_path}/sites/A.key: exists already and is not overwritten:"
        " move it away first\n"
    )
    assert command(["pki", str(tmp_path), "--site", "B"]) == Exit.OK
    assert {path: path.read_bytes() for path in before} == before
    with pytest.raises(PkiError, match="exists already"):
        Authority(tmp_path).make()


def test_a_call_without_options_lists_what_exists_and_what_can_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["pki", str(tmp_path), "--site", "A"]) == Exit.OK
    capsys.readouterr()
    assert command(["pki", str(tmp_path)]) == Exit.OK
    assert capsys.readouterr().out == (
        f"nothing was asked for; {tmp_path} has ca.pem, sites/A.pem;"
        " --broker NAME, --site ID, --collector and --peer make more\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--site", "a/b", "expected a site id"),
        ("--site", "plancher.collector", "expected a site id"),
        ("--peer", "A", "expected a user name with a dot in it"),
        ("--broker", "a b", "expected a host name or an address"),
        ("--days", "0", "expected 1 to 3650 days"),
    ],
)
def test_an_impossible_name_is_refused(
    tmp_path: Path, option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(["pki", str(tmp_path / "pki"), option, value])
    assert caught.value.code == Exit.USAGE
    assert words in capsys.readouterr().err
    assert not (tmp_path / "pki").exists()


def test_a_failure_leaves_no_files(tmp_path: Path) -> None:
    authority = Authority(tmp_path).make()
    authority.certificate.write_text("no certificate")
    with pytest.raises(PkiError, match="openssl x509 failed"):
        authority.issue("A", Usage.CLIENT)
    assert not list(tmp_path.glob("A.*"))


@pytest.mark.parametrize("name", ["peers/x", "S+", "#", "", "S1\n", "a/CN=b"])
def test_a_name_that_is_part_of_several_topics_gets_no_certificate(tmp_path: Path, name: str) -> None:
    authority = Authority(tmp_path).make()
    with pytest.raises(PkiError, match="no name for a certificate"):
        authority.issue(name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]
