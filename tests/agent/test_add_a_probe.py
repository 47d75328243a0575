"""The code in docs/add-a-probe.md works as it stands."""

import asyncio
import re
import socket
import sys
import types
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.configuration import composed
from agent.line.counters import NoSource
from agent.schedule.runner import Runner
from agent.service import wiring
from agent.settings.sections import PeerAccessSettings
from agent.task.declaration import ProbeDeclaration
from agent.task.task import ProbeContext
from collector.ledger.schema.layout import Layout
from tests.agent.fakes import FakeClock
from tests.processes import free_port
from wire.messages import envelope as messages
from wire.records import Failure, Outcome, Purpose, UnknownMeasurement

PAGE = Path(__file__).parents[2] / "docs" / "add-a-probe.md"
EPOCH = "00112233445566ff"


@pytest.fixture
def page() -> Iterator[dict[str, Any]]:
    """Everything that the page's code defines, run in order as one module."""
    module = types.ModuleType("page")
    sys.modules["page"] = module  # msgspec resolves annotations through it
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(compile(block, PAGE, "exec"), module.__dict__)
    yield module.__dict__
    del sys.modules["page"]


@pytest.fixture
def port() -> Iterator[int]:
    """A port of loopback on which somebody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def measured(page: dict[str, Any], port: int) -> Any:
    clock = FakeClock()
    declared: ProbeDeclaration = page["PROBE"]
    made = composed({"connect": declared})
    chosen = page["ConnectSettings"](port=port)
    settings = made(site="A", peer=PeerAccessSettings(host="127.0.0.1", key="k"), connect=chosen)
    built_from = ProbeContext(settings, b"k", NoSource(), clock.read)
    [(task, probe)] = wiring.tasks(built_from, {"connect": declared}).items()
    runner = Runner("peer", clock.read)
    return asyncio.run(runner.run(probe, task, Purpose.SCHEDULED, slot_us=0)).measurement(EPOCH, 1)


def test_the_pages_probe_is_scheduled_and_measures(page: dict[str, Any], port: int) -> None:
    measurement = measured(page, port)
    assert (measurement.outcome, measurement.schedule) == (Outcome.OK, "connect")
    assert measurement.values.handshake_us >= 0
    assert page["PROBE"].figures(measurement.values).startswith("connected in ")


def test_the_pages_probe_leaves_its_faults_to_the_runner(page: dict[str, Any]) -> None:
    measurement = measured(page, free_port())
    assert (measurement.outcome, measurement.failure) == (Outcome.FAILED, Failure.PEER_REFUSED)


def test_a_collector_that_does_not_know_it_keeps_it(page: dict[str, Any], port: int) -> None:
    decoded = messages.decode_measurement(messages.encode(measured(page, port)))
    assert isinstance(decoded, UnknownMeasurement)
    assert decoded.probe == "connect"


def test_its_kind_has_columns_and_a_metric(page: dict[str, Any]) -> None:
    kind = page["CONNECT"]
    assert [column.name for column in Layout(kind.values).columns()] == ["handshake_us"]
    (gauge,) = kind.gauges
    assert gauge.samples(None, page["ConnectValues"](handshake_us=1500)) == (("", 0.0015),)


def test_every_file_and_name_the_page_speaks_of_is_there() -> None:
    root = PAGE.parents[1]
    named = set(re.findall(r"`((?:agent|wire|tests|collector)/[a-z_/]+(?:\.py|/))`", PAGE.read_text()))
    assert len(named) >= 10
    assert {name for name in named if not (root / name).exists()} == set()
