import subprocess
from pathlib import Path

import pytest

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
