"""The STAMP probe against a real reflector on loopback, and what it makes of everything that goes wrong."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from agent.configuration import SCHEDULE, SETTINGS
from agent.line.counters import NoSource
from agent.probes.stamp import probe as stamp
from agent.probes.stamp.probe import StampProbe
from agent.settings.sections import PeerAccessSettings, ReflectorKind, StampClass, StampTrainSettings
from agent.task.task import ProbeContext, Reading, Task
from agent.train.stamp_session import Train, TrainResult
from host.clock import Clock
from host.units import Seconds
from peer.reflector import StampReflector
from wire.records import Failure, Outcome, StampValues
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.statistics import train_statistics
from wire.stamp.timestamp import ErrorEstimate

KEY = b"the site's key"
CLASSES = (StampClass("default", 0), StampClass("voice", 46))


def surroundings(port: int, key: bytes = KEY, *, authenticated: bool = True) -> ProbeContext:
    settings = SETTINGS(
        site="lycee-1",
        peer=PeerAccessSettings(key="x", stamp_port=port),
        stamp=StampTrainSettings(CLASSES, 5, Seconds(0.01), Seconds(0.5), authenticated=authenticated),
        schedule=SCHEDULE(stamp=Seconds(60)),
    )
    return ProbeContext(settings, key, NoSource(), Clock().read)


def measure(
    serving: ReflectorSettings, built: Callable[[int], ProbeContext] = surroundings
) -> tuple[list[Reading], list[str]]:
    """Run every task of the probe, one after the other."""
    shown: list[str] = []

    async def run() -> list[Reading]:
        reflector = StampReflector("127.0.0.1", 0, serving, ErrorEstimate)
        await reflector.start()
        try:
            probe = StampProbe(built(reflector.port))
            return [await probe.run(task, shown.append) for task in probe.tasks()]
        finally:
            reflector.close()

    return asyncio.run(run()), shown


def test_two_classes_of_service_are_measured():
    probe = StampProbe(surroundings(862))
    assert probe.tasks() == [Task("stamp", 60, dscp=0), Task("stamp", 60, dscp=46)]
    assert probe.deadline_s > 5 * 0.01 + 0.5
    readings, shown = measure(ReflectorSettings(keys=(KEY,)))
    for reading, dscp in zip(readings, (0, 46), strict=True):
        assert (reading.outcome, reading.failure, reading.detail) == (Outcome.OK, None, "")
        values = reading.values
        assert isinstance(values, StampValues)
        assert (values.sent, values.received, values.loss_ratio) == (5, 5, 0.0)
        assert (values.loss_forward_ratio, values.loss_return_ratio) == (0.0, 0.0)
        assert values.timeout_us == 500_000
        assert (values.forward_dscp, values.reply_dscp, values.requested_dscp) == (dscp, dscp, dscp)
        assert not values.reply_refused
        assert values.authenticated
        assert values.rtt is not None
        assert 0 <= values.rtt.min_us <= values.rtt.p99_us
        assert reading.bytes_sent == reading.bytes_received == (5 + 1) * (160 + 28)
    assert readings[0].session != readings[1].session
    assert len(shown) == 2
    assert shown[1].endswith("DSCP 46")


def test_open_mode_is_recorded_as_such():
    readings, _ = measure(
        ReflectorSettings(open_mode=True), lambda port: surroundings(port, authenticated=False)
    )
    assert [reading.outcome for reading in readings] == [Outcome.OK, Outcome.OK]
    assert isinstance(readings[0].values, StampValues)
    assert not readings[0].values.authenticated


def test_a_refused_class_is_reported():
    readings, _ = measure(ReflectorSettings(keys=(KEY,), allows_dscp=lambda dscp: dscp == 0))
    assert [reading.detail for reading in readings] == ["", "the peer does not answer in DSCP 46"]
    assert readings[1].outcome is Outcome.OK
    values = readings[1].values
    assert isinstance(values, StampValues)
    assert values.reply_refused
    assert (values.forward_dscp, values.reply_dscp, values.requested_dscp) == (46, 46, 46)


def test_another_key_is_no_answer_and_is_named_in_the_detail():
    readings, _ = measure(ReflectorSettings(keys=(b"another",)))
    assert (readings[0].outcome, readings[0].failure) == (Outcome.FAILED, Failure.NO_ANSWER)
    assert readings[0].values is None
    assert readings[0].detail.startswith("no answer from 127.0.0.1 port ")


def test_a_closed_port_is_the_peers_fault():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    probe = StampProbe(surroundings(port))
    reading = asyncio.run(probe.run(probe.tasks()[0], lambda _: None))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, Failure.PEER_REFUSED)
    assert reading.detail == f"nothing listens on 127.0.0.1 port {port}"


def result(
    answered: int = 0,
    seen: dict[str, object] | None = None,
    received: Counter[ReplyVerdict] | None = None,
    **changes: object,
) -> TrainResult:
    """A train of two packets of which ``answered`` had a reply."""
    sender = SessionSender(SenderSettings(ssid=1))
    sender.packet(0, ErrorEstimate())
    sender.packet(0, ErrorEstimate())
    statistics = train_statistics(sender.exchanges, [], 10**9, stateful=True)
    statistics = replace(statistics, received=answered, **(seen or {}))
    return TrainResult(statistics, "0001", received or Counter(), **changes)


OK = Outcome.OK, None
REPLIES = "the replies' DSCP 46 arrived as 0"
BACK_AS_0 = {"reply_dscp": 0}


@pytest.mark.parametrize(("train_result", "found", "detail"), [
    (
        result(failure=Failure.NAME_UNKNOWN, detail="peer.example: unknown"),
        (Outcome.FAILED, Failure.NAME_UNKNOWN), "peer.example: unknown",
    ),
    (
        result(send_failure=Failure.UNREACHABLE, unsent=5, detail="Network is unreachable"),
        (Outcome.FAILED, Failure.UNREACHABLE), "5 packets could not be sent: Network is unreachable",
    ),
    (
        result(1, send_failure=Failure.SEND_BLOCKED, unsent=1, detail="No buffer space available"),
        (Outcome.INVALID, Failure.SEND_BLOCKED), "1 packet could not be sent: No buffer space available",
    ),
    (
        result(2, clock_step_us=3_000_000),
        (Outcome.INVALID, Failure.CLOCK_STEPPED), "the wall clock jumped by 3000000 us during the train",
    ),
    (
        result(received=Counter({ReplyVerdict.BAD_HMAC: 2})),
        (Outcome.FAILED, Failure.PEER_PROTOCOL), "192.0.2.1 port 862 answers with another key",
    ),
    (
        result(received=Counter({ReplyVerdict.SHORT: 2})),
        (Outcome.FAILED, Failure.PEER_PROTOCOL),
        "the program at 192.0.2.1 port 862 (peer.stamp_port) does not speak STAMP",
    ),
    (
        result(seen={"late": 2}, received=Counter({ReplyVerdict.ACCEPTED: 2, ReplyVerdict.CLOSING: 1})),
        (Outcome.FAILED, Failure.NO_ANSWER), "no answer from 192.0.2.1 port 862",
    ),
    (result(2, {"forward_dscp": 0}), OK, "DSCP 46 reached the peer as 0"),
    (result(2, BACK_AS_0 | {"forward_dscp": 46}), OK, REPLIES),
    (
        result(2, BACK_AS_0 | {"forward_dscp": 10}), OK,
        f"DSCP 46 reached the peer as 10; {REPLIES}",
    ),
    (
        result(2, BACK_AS_0 | {"forward_dscp": 0, "refused_dscp": True}), OK,
        "DSCP 46 reached the peer as 0; the peer does not answer in DSCP 46",
    ),
    (
        result(2, BACK_AS_0), OK,
        f"{REPLIES}, changed in either direction: the peer does not report what it received",
    ),
])  # fmt: skip
def test_whose_fault_it_is(
    train_result: TrainResult, found: tuple[Outcome, Failure | None], detail: str
) -> None:
    reading = stamp._reading(Train("192.0.2.1", 862, 2, 0.5, 2.0, dscp=46), train_result)
    assert (reading.outcome, reading.failure, reading.detail) == (*found, detail)
    assert (reading.values is None) == (reading.outcome is Outcome.FAILED)


@pytest.mark.parametrize("authenticated", [True, False])
def test_a_train_tells_the_peers_time_only_if_it_is_authenticated(authenticated: bool) -> None:
    built: list[ProbeContext] = []

    def build(port: int) -> ProbeContext:
        built.append(surroundings(port, authenticated=authenticated))
        return built[0]

    measure(ReflectorSettings(keys=(KEY,), open_mode=not authenticated), build)
    known = built[0].peer_time
    assert (known.offset is not None) is authenticated
    assert known.ahead_s(Clock().read()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("kind", list(ReflectorKind))
def test_only_a_stateful_reflector_gives_loss_a_direction(kind: ReflectorKind) -> None:
    def built(port: int) -> ProbeContext:
        context = surroundings(port, authenticated=False)
        stamp = replace(context.settings.stamp, reflector=kind)
        changed = replace(context.settings, stamp=stamp)
        return ProbeContext(changed, KEY, NoSource(), Clock().read)

    readings, _ = measure(ReflectorSettings(open_mode=True), built)
    for reading in readings:
        assert isinstance(reading.values, StampValues)
        assert reading.values.loss_ratio == 0
        directional = reading.values.loss_forward_ratio, reading.values.loss_return_ratio
        assert directional == ((0.0, 0.0) if kind is ReflectorKind.STATEFUL else (None, None))
