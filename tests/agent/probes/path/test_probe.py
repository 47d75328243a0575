"""The path probe: what it asks of its helper, what it believes of the answer, and how it says it."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.configuration import SCHEDULE, SETTINGS
from agent.line.counters import NoSource
from agent.probes.path import probe as path_probe
from agent.probes.path.probe import PathProbe
from agent.probes.path.settings import PathSettings
from agent.settings.sections import PeerAccessSettings, StampClass, StampTrainSettings
from agent.task.task import ProbeContext, Reading, Task
from host.units import Seconds
from tests.agent.fakes import FakeClock
from wire.path.exchange import PathAnswer, PathRequest, PeerReply, decode_request
from wire.records import Failure, Hop, Outcome, PathValues, Spread, StampValues
from wire.stamp import reflector
from wire.stamp.reflector import Reflection, ReflectorSettings, RequestArrival
from wire.stamp.timestamp import ErrorEstimate

KEY = b"the site's key"
CLASSES = (StampClass("default", 0), StampClass("voice", 46))
MILLISECOND_NS = 1_000_000


def probe(helper: Path | None = None, **schedule: object) -> PathProbe:
    settings = SETTINGS(
        site="lycee-1",
        peer=PeerAccessSettings(host="127.0.0.1", stamp_port=862, key="x"),
        stamp=StampTrainSettings(CLASSES),
        path=PathSettings(hops=4, packets=2, helper=None if helper is None else str(helper)),
        schedule=SCHEDULE(**schedule),  # type: ignore[arg-type]
    )
    return PathProbe(ProbeContext(settings, KEY, NoSource(), FakeClock().read))


def hops(*dscps: int | None) -> tuple[Hop, ...]:
    """Routers that quote these classes, and the peer, which quotes nothing."""
    seen = [
        Hop(ttl=ttl, sent=2, answered=2, address=f"192.0.2.{ttl}", rtt_us=1000, dscp=dscp)
        for ttl, dscp in enumerate(dscps, start=1)
    ]
    return (*seen, Hop(ttl=len(dscps) + 1, sent=2, answered=2, address="198.51.100.9", rtt_us=9000))


def reply_to(request: PathRequest, *, key: bytes = KEY, dscp: int = 0, number: int = 5) -> PeerReply:
    """Reply of the real reflector core."""
    core = reflector.SessionReflector(ReflectorSettings(keys=(key,)))
    arrival = RequestArrival(0, ("192.0.2.1", 40000), ("198.51.100.9", 862), dscp_ecn=dscp << 2)
    answer = core.receive(request.test_packets[number], arrival, ErrorEstimate())
    assert isinstance(answer, Reflection)
    return PeerReply(ttl=3, rtt_ns=5 * MILLISECOND_NS, payload=answer.encode(MILLISECOND_NS))


def measure(
    folder: Path, answering: Callable[[PathRequest], PathAnswer | bytes], dscp: int = 46
) -> tuple[Reading, PathRequest]:
    """One run against a helper behind a socket that answers as told."""

    async def run() -> tuple[Reading, PathRequest]:
        asked: list[PathRequest] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(decode_request(await reader.read()))
            answer = answering(asked[0])
            writer.write(answer if isinstance(answer, bytes) else msgspec.json.encode(answer))
            writer.close()

        async with await asyncio.start_unix_server(serve, folder / "helper"):
            made = probe(folder / "helper")
            task = next(task for task in made.tasks() if task.dscp == dscp)
            return await made.run(task, lambda _: None), asked[0]

    return asyncio.run(run())


def path_values(reading: Reading) -> PathValues:
    assert isinstance(reading.values, PathValues)
    return reading.values


def test_each_class_is_a_task_and_null_is_never() -> None:
    assert probe(path=Seconds(86400)).tasks() == [Task("path", 86400, dscp=0), Task("path", 86400, dscp=46)]
    assert probe(path=None).tasks() == []


def test_the_request_has_test_packets_and_no_key(tmp_path: Path) -> None:
    reading, asked = measure(tmp_path, lambda _: PathAnswer(values=PathValues(hops=hops(46), reached=True)))
    assert reading.outcome is Outcome.OK
    assert (asked.address, asked.port, asked.dscp, asked.hops, asked.packets) == ("127.0.0.1", 862, 46, 4, 2)
    assert asked.authenticated
    assert len(asked.test_packets) == 4 * 2 + path_probe.SEARCH_PACKETS
    assert len({len(packet) for packet in asked.test_packets}) == 1
    assert [int.from_bytes(packet[:4]) for packet in asked.test_packets[:3]] == [0, 1, 2]
    assert KEY not in msgspec.json.encode(asked)


def test_the_peers_reply_has_its_class_and_time(tmp_path: Path) -> None:
    def answering(request: PathRequest) -> PathAnswer:
        values = PathValues(hops=hops(46, 46), reached=True)
        return PathAnswer(
            values=values, replies=(reply_to(request, dscp=10),), bytes_sent=9, bytes_received=8
        )

    reading, _ = measure(tmp_path, answering)
    values = path_values(reading)
    assert values.reached
    assert (values.hops[-1].dscp, values.hops[-1].rtt_us) == (10, 4000)
    assert (values.dscp_changed_at, values.dscp_became) == (3, 10)
    assert reading.detail == "DSCP 46 becomes 10 between hop 2 (192.0.2.2) and hop 3 (198.51.100.9)"
    assert (reading.bytes_sent, reading.bytes_received) == (9, 8)


@pytest.mark.parametrize("right", [True, False])
def test_a_reply_whose_time_is_not_known_still_has_to_be_the_peers(right: bool, tmp_path: Path) -> None:
    def answering(request: PathRequest) -> PathAnswer:
        reply = msgspec.structs.replace(reply_to(request, dscp=46), rtt_ns=None)
        if not right:
            reply = msgspec.structs.replace(reply, payload=bytes(140))
        return PathAnswer(values=PathValues(hops=hops(46), reached=True), replies=(reply,))

    values = path_values(measure(tmp_path, answering)[0])
    last = values.hops[-1]
    assert (values.reached, last.dscp, last.rtt_us) == ((True, 46, None) if right else (False, None, 9000))


def test_a_reply_under_another_key_is_not_the_peers(tmp_path: Path) -> None:
    def answering(request: PathRequest) -> PathAnswer:
        forged = msgspec.structs.replace(reply_to(request), payload=bytes(140))
        return PathAnswer(values=PathValues(hops=hops(46), reached=True), replies=(forged,))

    reading, _ = measure(tmp_path, answering)
    assert not path_values(reading).reached
    assert reading.detail == "what answers there has another key"


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        (PathValues(hops=hops(46, 46), reached=True), ""),
        (
            PathValues(hops=hops(0, 0), reached=True),
            "DSCP 46 becomes 0 between this site and hop 1 (192.0.2.1)",
        ),
        (
            PathValues(hops=hops(46, None, 0), reached=True),
            "DSCP 46 becomes 0 between hop 1 (192.0.2.1) and hop 3 (192.0.2.3)",
        ),
        (
            PathValues(
                hops=hops(46, 46),
                reached=True,
                path_mtu_bytes=1400,
                mtu_limited_at=2,
                mtu_limited_by="192.0.2.2",
                mtu_reported_bytes=1400,
            ),
            "packets above 1400 B are refused behind hop 2 (192.0.2.2)",
        ),
        (
            PathValues(hops=hops(46), reached=True, path_mtu_bytes=1400, mtu_limited_by="203.0.113.1"),
            "packets above 1400 B are refused by 203.0.113.1",
        ),
        (
            PathValues(hops=hops(46), reached=True, path_mtu_bytes=1400, black_hole=True, mtu_limited_at=1),
            "packets above 1400 B vanish without a word behind hop 1 (192.0.2.1)",
        ),
        (
            PathValues(hops=hops(46), reached=True, path_mtu_bytes=1400, black_hole=True),
            "packets above 1400 B vanish without a word",
        ),
        (
            PathValues(hops=hops(46), reached=True, path_mtu_bytes=1500, return_mtu_bytes=1300),
            "replies above 1300 B are lost",
        ),
        (PathValues(hops=hops(46)[:1], reached=False), "the peer does not answer"),
    ],
)
def test_changes_of_the_path_are_put_into_words(values: PathValues, detail: str, tmp_path: Path) -> None:
    reading, _ = measure(tmp_path, lambda _: PathAnswer(values=values))
    assert (reading.outcome, reading.failure, reading.detail) == (Outcome.OK, None, detail)


def test_packets_lost_before_the_first_router(tmp_path: Path) -> None:
    values = PathValues(hops=hops(46), reached=True, path_mtu_bytes=1400, black_hole=True)
    reading, _ = measure(tmp_path, lambda _: PathAnswer(values=values, limited_before=1))
    assert reading.detail == "packets above 1400 B vanish without a word before hop 1 (192.0.2.1)"


def test_a_path_without_any_answer_is_a_failure(tmp_path: Path) -> None:
    silent = tuple(Hop(ttl=ttl, sent=2, answered=0) for ttl in range(1, 5))
    reading, _ = measure(tmp_path, lambda _: PathAnswer(values=PathValues(hops=silent, reached=False)))
    assert (reading.outcome, reading.failure, reading.values) == (Outcome.FAILED, Failure.NO_ANSWER, None)
    assert reading.detail == "no router on the way answers, nor does the peer"


def test_what_the_helper_could_not_do_is_passed_on(tmp_path: Path) -> None:
    refused = PathAnswer(failure=Failure.CONFIGURATION, detail="no such right")
    reading, _ = measure(tmp_path, lambda _: refused)
    assert (reading.outcome, reading.failure, reading.detail) == (
        Outcome.FAILED,
        Failure.CONFIGURATION,
        "no such right",
    )


def test_a_helper_that_talks_nonsense_is_our_own_fault(tmp_path: Path) -> None:
    reading, _ = measure(tmp_path, lambda _: b"nonsense")
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.INTERNAL)


def test_a_socket_without_a_helper_is_a_configuration_fault(tmp_path: Path) -> None:
    made = probe(tmp_path / "nobody")
    reading = asyncio.run(made.run(made.tasks()[0], lambda _: None))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.CONFIGURATION)
    assert reading.detail == f"path.helper: {tmp_path / 'nobody'}: No such file or directory"


def test_an_unknown_name_is_the_configurations(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    made = probe()
    reading = asyncio.run(made.run(made.tasks()[0], lambda _: None))
    assert (reading.failure, reading.detail) == (Failure.NAME_UNKNOWN, "127.0.0.1: Name or service not known")


def train(rtt_us: int, loss_ratio: float = 0.0) -> Reading:
    spread = Spread(min_us=rtt_us, p50_us=rtt_us, p95_us=rtt_us, p99_us=rtt_us)
    values = StampValues(sent=20, received=20, timeout_us=2_000_000, loss_ratio=loss_ratio, rtt=spread)
    return Reading(Outcome.OK, values)


STEADY, SLOWER = [train(20_000)] * 3, [train(40_000)] * 3
NO_ANSWER = Reading(Outcome.FAILED, failure=Failure.NO_ANSWER)
OTHER_FAILURE = Reading(Outcome.FAILED, failure=Failure.NAME_UNKNOWN)


def heeded(made: PathProbe, task: Task, readings: list[Reading]) -> list[Task]:
    found = [made.react(task, one, number * 60_000_000) for number, one in enumerate(readings)]
    return [due for due in found if due is not None]


@pytest.mark.parametrize(
    ("task", "readings", "due"),
    [
        (Task("stamp", 60, dscp=46), [*STEADY, *SLOWER], [Task("path", 86400, dscp=46)]),
        (Task("stamp", 60, dscp=46), [*STEADY, *[NO_ANSWER] * 3], [Task("path", 86400, dscp=46)]),
        (Task("stamp", 60, dscp=46), [*STEADY, *[OTHER_FAILURE] * 3], []),
        (Task("stamp", 60, dscp=46), STEADY * 3, []),
        (Task("stamp", 60, dscp=10), [*STEADY, *SLOWER], []),
        (Task("floor", 60, dscp=46), [*STEADY, *SLOWER], []),
    ],
    ids=["slower", "dead", "not the line's", "steady", "another class", "another probe"],
)
def test_a_class_whose_trains_change_is_traced(task: Task, readings: list[Reading], due: list[Task]) -> None:
    assert heeded(probe(path=Seconds(86400)), task, readings) == due


def test_what_is_never_to_run_does_not_run_on_a_change() -> None:
    assert heeded(probe(path=None), Task("stamp", 60, dscp=46), [*STEADY, *SLOWER]) == []


def test_the_classes_are_watched_apart() -> None:
    made = probe(path=Seconds(86400))
    voice, default = Task("stamp", 60, dscp=46), Task("stamp", 60, dscp=0)
    assert heeded(made, voice, STEADY) == []
    assert heeded(made, default, SLOWER) == []
