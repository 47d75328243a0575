"""The floor probe where a test cannot run or may not be judged by: whose fault it is, and what is told."""

import socket
from typing import Any

import pytest

from agent.configuration import SETTINGS
from agent.line.counters import NoSource
from agent.load.rules import validity as floor_validity
from agent.probes.floor import probe as floor
from agent.probes.floor.probe import FloorProbe
from agent.settings.sections import PeerAccessSettings
from agent.task.task import ProbeContext
from tests.agent.fakes import FakeClock
from tests.agent.load import fixed_rate
from tests.agent.probes.floor_lines import SLOW, ending, measure, run, values
from wire.records import Direction, Failure, Outcome, Verdict
from wire.udpstp.load import Ending, LoadReport


def test_a_lost_set_up_is_tried_again() -> None:
    reading = measure(ending(Ending.NO_ANSWER, Ending.NO_ANSWER, Ending.COMPLETED), NoSource())
    assert values(reading).verdict is Verdict.PASS
    assert reading.bytes_sent == 300


def test_a_silent_peer_is_given_up() -> None:
    reading = measure(ending(*[Ending.NO_ANSWER] * floor.SETUP_TRIES), NoSource())
    assert (reading.outcome, reading.failure, reading.values) == (Outcome.FAILED, Failure.NO_ANSWER, None)
    assert reading.detail == "why"


@pytest.mark.parametrize(
    ("code", "failure"), [(10, Failure.PEER_BUSY), (13, Failure.PEER_BUSY), (9, Failure.PEER_REFUSED)]
)
def test_a_refusal_is_distinguished_from_a_full_peer(code: int, failure: Failure) -> None:
    reading = measure(ending(*[Ending.REFUSED] * floor.SETUP_TRIES, refusal=code), NoSource())
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)


def test_every_ending_has_its_failure() -> None:
    assert set(Ending) == {Ending.COMPLETED, *floor_validity.FAILURES}


@pytest.mark.parametrize(
    ("host", "failure", "told"),
    [
        ("127.0.0.1", Failure.PEER_REFUSED, "nothing listens at the peer's port"),
        ("no-such-name.invalid", Failure.NAME_UNKNOWN, "no-such-name.invalid: "),
    ],
)
def test_whose_fault_it_is_over_a_real_socket(
    host: str, failure: Failure, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "127.0.0.1":
            return real(name, *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    real = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = SETTINGS(site="A", peer=PeerAccessSettings(host=host, udpstp_port=port, key="k"))
    reading = run(FloorProbe.of(ProbeContext(settings, b"k", NoSource(), FakeClock().read)))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert reading.detail.startswith(told)


def test_an_instrument_that_stalls_every_time_gives_no_verdict() -> None:
    async def run_load(direction: Direction, rate_bps: float, seconds: int, **watched: object) -> LoadReport:
        return fixed_rate.stalled(fixed_rate.run(SLOW, rate_bps, seconds, direction)[0], 300_000)

    reading = measure(run_load, NoSource())
    assert (reading.outcome, reading.failure) == (Outcome.INVALID, Failure.SENDER_STALLED)
    assert values(reading).verdict is Verdict.INVALID
    assert len(values(reading).tests) == 3
