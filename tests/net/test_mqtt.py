from pathlib import Path

import pytest

from net.mqtt import Broker, BrokerError, Publication, Session
from tests.net.fake_broker import FakeBroker, fake_broker
from tests.net.sessions import problem_of, running, until
from tests.processes import free_port


async def test_a_missing_broker_is_reported() -> None:
    broker = Broker(port=free_port())
    why = "nothing listens there: is the broker running, and is the port right?"
    assert await problem_of(Session(broker, "a")) == f"broker 127.0.0.1:{broker.port}: {why}"


async def test_a_failed_publication_returns_false() -> None:
    session = Session(Broker(port=free_port()), "a")
    assert await session.publish(Publication("qos/v1/A/results", b"x")) is False
    assert not session.connected


@pytest.mark.parametrize(("content", "mode", "username", "message"), [
    (b"secret\n", 0o644, "a", "{path}: others can read it: chmod 600 {path}"),
    (None, 0, "a", "{path}: No such file or directory"),
    (b"secret\n", 0o600, None, "of no use without broker.username"),
    (b"\xff\xfe", 0o600, "a", "{path}: not UTF-8 text"),
])  # fmt: skip
def test_an_unusable_password_file_is_refused(
    tmp_path: Path, content: bytes | None, mode: int, username: str | None, message: str
) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(BrokerError) as caught:
        Session(Broker(username=username, password_file=str(path)), "a")
    assert str(caught.value) == f"broker.password_file: {message.format(path=path)}"


async def test_an_open_connection_that_is_asked_is_acknowledged_at_once() -> None:
    acknowledged: list[None] = []
    async with fake_broker(FakeBroker()) as fake:
        session = Session(
            Broker(port=fake.port),
            "a",
            subscriptions=["qos/v1/A/receipts"],
            on_acknowledged=lambda: acknowledged.append(None),
        )
        async with running(session):
            await until(lambda: session.connected)
            session.ask()
            await until(lambda: len(acknowledged) == 1)
            assert fake.subscriptions == 2
