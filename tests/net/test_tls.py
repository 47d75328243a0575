import subprocess
from pathlib import Path

import pytest

from collector.certificates.authority import Authority
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
