"""Web server under attack, in the real program: half-open connections, few descriptors, foreign names."""

import socket
import sys
from contextlib import ExitStack

import pytest

from collector.service.web_guard import HEADERS, is_allowed
from tests.collector.agents import Agent
from tests.collector.examples import SITE
from tests.collector.service.running import Collector, batch
from tests.processes import running, wait_until


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost:8460", True),
        ("127.0.0.1", True),
        ("[::1]:8460", True),
        ("QOS.example:8460", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("[evil.example]", False),
        ("", False),
    ],
)
def test_names_that_the_server_answers_to(host: str, allowed: bool) -> None:
    assert is_allowed(host, {"localhost", "qos.example"}) is allowed


def answer(port: int, host: str, path: str = "/healthz") -> str:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: client.recv(65536), b"")).decode()


def test_half_open_connections_take_no_descriptor_from_broker_and_ledger(collector: Collector) -> None:
    log = collector.directory / "collector.log"
    command = ["sh", "-c", 'ulimit -n 128; exec "$@"', "-", sys.executable, "-m", "collector", "run"]
    ready = lambda: collector.get("/readyz")[0] == 200  # noqa: E731
    with ExitStack() as held, running([*command, collector.settings], ready, log):
        for number in range(200):
            client = held.enter_context(socket.create_connection(("127.0.0.1", collector.web), timeout=20))
            client.sendall(b"GET / HTTP/1.1\r\n" if number % 2 else b"")
        with Agent(collector.broker, SITE) as agent:
            agent.publish(batch(1))
            wait_until(lambda: bool(agent.receipts), "a receipt")
        assert collector.get("/readyz")[0] == 200
        assert "421 " in answer(collector.web, "evil.example").splitlines()[0]
        for path in ("/", "/metrics", "/nowhere"):
            head = answer(collector.web, "localhost", path).partition("\r\n\r\n")[0]
            assert all(f"\r\n{name}: " in head for name in HEADERS)
    assert "Traceback" not in log.read_text()
