import asyncio
import subprocess
from pathlib import Path

import pytest

from net import mqtt
from net.mqtt import Broker, BrokerError, Publication, Session, Tls
from tests.processes import free_port
from tests.servers import require


async def problem_of(session: Session) -> str:
    """Run the session until it has failed once."""
    task = asyncio.create_task(session.run())
    try:
        async with asyncio.timeout(30):
            while session.problem in (None, "not connected yet"):
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
    return str(session.problem)


def test_a_broker_that_is_not_there_is_told() -> None:
    broker = Broker(port=free_port())
    assert asyncio.run(problem_of(Session(broker, "a"))) == (
        f"broker 127.0.0.1:{broker.port}: "
        "nothing listens there: is the broker running, and is the port right?"
    )


def test_what_could_not_be_published_says_so() -> None:
    session = Session(Broker(port=free_port()), "a")
    assert asyncio.run(session.publish(Publication("qos/v1/A/results", b"x"))) is False
    assert not session.connected


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o644)
    with pytest.raises(BrokerError) as caught:
        Session(Broker(username="a", password_file=str(path)), "a")
    assert str(caught.value) == f"broker.password_file: {path}: others can read it: chmod 600 {path}"


def test_a_missing_password_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"broker.password_file: .*: No such file or directory"):
        Session(Broker(username="a", password_file=str(tmp_path / "none")), "a")


def test_what_would_be_ignored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"broker.password_file: of no use without broker.username"):
        Session(Broker(password_file=str(tmp_path / "password")), "a")
    with pytest.raises(BrokerError, match=r"broker.tls.key: of no use without broker.tls.certificate"):
        mqtt.tls_context(Tls(key=str(tmp_path / "key.pem")))


def test_a_password_that_is_no_text_is_told(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(BrokerError, match=r"broker.password_file: .*: not UTF-8 text"):
        Session(Broker(username="a", password_file=str(path)), "a")


def test_an_encrypted_key_is_refused_without_asking_for_its_password(tmp_path: Path) -> None:
    openssl = require("openssl")
    own, locked = tmp_path / "own.pem", tmp_path / "own.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-passout", "pass:secret", "-subj", "/CN=a",
         "-keyout", locked, "-out", own],
        check=True, capture_output=True,
    )  # fmt: skip
    with pytest.raises(BrokerError, match=r"broker.tls.certificate: .*: not usable"):
        mqtt.tls_context(Tls(certificate=str(own), key=str(locked)))


def test_tls_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(BrokerError, match=r"broker.tls.ca: .*/ca.pem: no usable authority certificate"):
        mqtt.tls_context(Tls(ca=str(tmp_path / "ca.pem")))
    with pytest.raises(BrokerError, match=r"broker.tls.certificate: .*: not usable \(No such file"):
        mqtt.tls_context(Tls(certificate=str(tmp_path / "none.pem")))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[code:135] Not authorized", "refuses this user name or password"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed",
            "shows a certificate that broker.tls.ca does not vouch for",
        ),
        ("[SSL: WRONG_VERSION_NUMBER]", "does not speak TLS on this port"),
        ("[Errno -2] Name or service not known", "no such host name"),
        ("Operation timed out", "no answer in time"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired", "shows a certificate that has expired"),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate is not yet valid",
            "shows a certificate that is not valid yet",
        ),
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] IP address mismatch, certificate is not valid for '127.0.0.1'",
            "shows a certificate for another name than broker.host",
        ),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING]", "hangs up on TLS"),
        ("[Errno 104] Connection reset by peer", "hangs up while we connect"),
        ("something new", "something new"),
    ],
)
def test_the_end_of_a_connection_is_explained(text: str, words: str) -> None:
    explained = mqtt.explain(OSError(text), Broker(host="mqtt.example", port=8883))
    assert explained.startswith(f"broker mqtt.example:8883: {words}")
