import ssl
import subprocess
from pathlib import Path

import pytest

from collector.certificates.authority import Authority
from net import mqtt_errors
from net.tls import BrokerError, Tls, tls_context
from tests.servers import require


def test_an_encrypted_key_is_refused_without_asking_for_its_password(tmp_path: Path) -> None:
    openssl = require("openssl")
    own, locked = tmp_path / "own.pem", tmp_path / "own.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-subj", "/CN=a",
         "-keyout", locked, "-out", own],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(BrokerError, match=r"broker.tls.certificate: .*: not usable"):
        tls_context(Tls(certificate=str(own), key=str(locked)))


def test_unusable_tls_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(BrokerError, match=r"broker.tls.ca: .*/ca.pem: no usable authority certificate"):
        tls_context(Tls(ca=str(tmp_path / "ca.pem")))
    with pytest.raises(BrokerError, match=r"broker.tls.certificate: .*: not usable \(No such file"):
        tls_context(Tls(certificate=str(tmp_path / "none.pem")))
    with pytest.raises(BrokerError, match=r"broker.tls.key: of no use without broker.tls.certificate"):
        tls_context(Tls(key=str(tmp_path / "key.pem")))


@pytest.mark.parametrize("apart", [True, False])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, apart: bool) -> None:
    made = Authority(tmp_path).make().issue("S1")
    if not apart:
        made.certificate.write_text(made.certificate.read_text() + made.key.read_text())
        made.certificate.chmod(0o600)
    key, setting = (made.key, "key") if apart else (made.certificate, "certificate")
    tls = Tls(certificate=str(made.certificate), key=str(made.key) if apart else None)
    tls_context(tls)
    key.chmod(0o640)
    with pytest.raises(BrokerError) as refused:
        tls_context(tls)
    assert str(refused.value) == (
        f"broker.tls.{setting}: {key}: others can read the key in it: chmod 600 {key}"
    )


def test_an_authority_of_openssls_defaults_gives_its_true_reason(tmp_path: Path) -> None:
    """As Python 3.13 verifies, on every Python: OpenSSL's own text is what is explained."""
    openssl, ca, key = require("openssl"), tmp_path / "ca.pem", tmp_path / "ca.key"
    call(
        [
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=CA",
            "-keyout",
            key,
            "-out",
            ca,
        ]
    )
    own = ("-keyout", tmp_path / "b.key", "-out", tmp_path / "b.csr")
    call([openssl, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=b", *own])
    signed = ("-CA", ca, "-CAkey", key, "-CAcreateserial", "-out", tmp_path / "b.pem")
    call([openssl, "x509", "-req", "-in", tmp_path / "b.csr", *signed])
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context(cafile=ca)
    server.load_cert_chain(tmp_path / "b.pem", tmp_path / "b.key")
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    client.check_hostname = False
    ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(theirs, ours)
    answering = server.wrap_bio(ours, theirs, server_side=True)
    for one in (asking, answering):
        with pytest.raises(ssl.SSLWantReadError):
            one.do_handshake()
    with pytest.raises(ssl.SSLCertVerificationError) as refused:
        asking.do_handshake()
    explained = mqtt_errors.explain(refused.value, "broker b:8883", tls=True)
    assert explained.startswith("broker b:8883: its authority (broker.tls.ca) lacks keyUsage")


def call(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True)
