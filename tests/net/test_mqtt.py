import asyncio
from pathlib import Path

import pytest

from net.mqtt import Broker, BrokerError, Publication, Session
from tests.processes import free_port


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


def test_a_missing_broker_is_reported() -> None:
    broker = Broker(port=free_port())
    assert asyncio.run(problem_of(Session(broker, "a"))) == (
        f"broker 127.0.0.1:{broker.port}: "
        "nothing listens there: is the broker running, and is the port right?"
    )


def test_a_failed_publication_returns_false() -> None:
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


def test_a_missing_password_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"broker.password_file: .*: No such file or directory"):
        Session(Broker(username="a", password_file=str(tmp_path / "none")), "a")


def test_a_password_without_a_user_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"broker.password_file: of no use without broker.username"):
        Session(Broker(password_file=str(tmp_path / "password")), "a")


def test_a_password_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"\xff\xfe")
    path.chmod(0o600)
    with pytest.raises(BrokerError, match=r"broker.password_file: .*: not UTF-8 text"):
        Session(Broker(username="a", password_file=str(path)), "a")
