import asyncio
import errno
import socket
import time
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from agent.train import stamp_session
from agent.train.stamp_session import Train, TrainResult, run_train
from net import timestamps
from peer.reflector import StampReflector
from wire.records import Failure
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.sender import ReplyVerdict
from wire.stamp.timestamp import ErrorEstimate

KEY = b"the site's key"
SYNCHRONISED = ErrorEstimate.from_seconds(0.0001, synchronised=True)


def estimate() -> ErrorEstimate:
    return SYNCHRONISED


def train(port: int, **changes: object) -> Train:
    return replace(Train("127.0.0.1", port, 10, 0.005, 2.0, dscp=46, key=KEY), **changes)


def against_reflector(
    work: Callable[[StampReflector], Awaitable[TrainResult]], settings: ReflectorSettings | None = None
) -> TrainResult:
    async def run() -> TrainResult:
        serving = settings or ReflectorSettings(keys=(KEY,))
        reflector = StampReflector("127.0.0.1", 0, serving, estimate)
        await reflector.start()
        try:
            return await work(reflector)
        finally:
            reflector.close()

    return asyncio.run(run())


@pytest.mark.parametrize("key", [KEY, None], ids=["authenticated", "open"])
def test_a_train_on_loopback(key):
    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port, key=key), estimate)

    result = against_reflector(work, ReflectorSettings(keys=(KEY,), open_mode=True))
    seen = result.statistics
    assert (seen.sent, seen.received, seen.loss_ratio) == (10, 10, 0.0)
    assert seen.loss is not None
    assert (seen.loss.forward, seen.loss.returning) == (0, 0)
    assert seen.rtt is not None
    # From kernel stamp to kernel stamp the loopback takes less than a microsecond.
    assert 0 <= seen.rtt.min_us <= seen.rtt.p50_us <= seen.rtt.p99_us < 2_000_000
    assert seen.delay_forward is not None
    assert (seen.forward_dscp, seen.reply_dscp) == (46, 46)
    # One packet more closes the train, for the last one's true sending time.
    assert result.received == {ReplyVerdict.ACCEPTED: 10, ReplyVerdict.CLOSING: 1}
    payload = 112 + 8 + 20 + 20 if key else 44 + 8 + 20
    assert result.bytes_sent == result.bytes_received == 11 * (payload + 28)
    assert (result.unsent, result.failure, result.clock_step_us) == (0, None, 0)


def test_the_replies_true_sending_times_come_from_the_reflectors_kernel():
    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port), estimate)

    assert against_reflector(work).statistics.followed_up == 10


@pytest.mark.parametrize("changes", [{"follow_up": False}, {"follow_up": False, "class_of_service": False}])
def test_a_train_that_does_not_ask_for_them_is_as_short_as_it_was(changes):
    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port, **changes), estimate)

    result = against_reflector(work)
    assert result.received == {ReplyVerdict.ACCEPTED: 10}
    assert result.statistics.followed_up == 0
    assert result.bytes_sent == 10 * (112 + 28 + (28 if changes.get("class_of_service", True) else 0))


def test_an_unanswered_closing_packet_costs_no_figure(monkeypatch):
    monkeypatch.setattr(stamp_session, "_CLOSING_S", 0.05)
    really_send, sent = timestamps.send, []

    def losing_send(sock: socket.socket, payload: bytes, *to: object, **how: object) -> None:
        sent.append(payload)
        if len(sent) <= 10:
            really_send(sock, payload, *to, **how)

    monkeypatch.setattr(timestamps, "send", losing_send)

    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port), estimate)

    result = against_reflector(work)
    assert len(sent) == 11
    assert (result.statistics.sent, result.statistics.received) == (10, 10)
    assert result.statistics.followed_up == 9
    assert (result.unsent, result.send_failure) == (0, None)


def test_a_peer_whose_kernel_gives_no_stamps_gets_no_closing_packet(monkeypatch):
    really_enable = timestamps.enable

    sockets: list[socket.socket] = []

    def no_transmit_stamps(sock: socket.socket, *, transmit: bool) -> bool:
        sockets.append(sock)  # the reflector's is the first
        return really_enable(sock, transmit=transmit and len(sockets) > 1)

    monkeypatch.setattr(timestamps, "enable", no_transmit_stamps)

    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port), estimate)

    result = against_reflector(work)
    assert result.received == {ReplyVerdict.ACCEPTED: 10}
    assert (result.statistics.received, result.statistics.followed_up) == (10, 0)


def test_the_loop_stays_free_and_the_train_ends_with_its_last_reply():
    async def work(reflector: StampReflector) -> TrainResult:
        turns = 0

        async def other_work() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0.001)

        other = asyncio.create_task(other_work())
        began = time.monotonic()
        result = await run_train(train(reflector.port, count=20, timeout_s=60), estimate)
        other.cancel()
        assert turns >= 10
        assert time.monotonic() - began < 30
        return result

    assert against_reflector(work).statistics.received == 20


def test_kernel_stamps_are_used_where_the_kernel_gives_them():
    async def work(reflector: StampReflector) -> TrainResult:
        # The kernel switches stamping on a moment after it is first asked to: let a train pass.
        await run_train(train(reflector.port), estimate)
        return await run_train(train(reflector.port), estimate)

    assert against_reflector(work).statistics.kernel_stamps


def test_a_result_without_kernel_timestamps_says_so(monkeypatch):
    monkeypatch.setattr(timestamps, "enable", lambda *_, **__: False)

    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port), estimate)

    seen = against_reflector(work).statistics
    assert seen.received == 10
    assert not seen.kernel_stamps
    assert seen.reply_dscp is None


def test_a_wrong_key_is_silence():
    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port, key=b"another", count=3, timeout_s=0.1), estimate)

    result = against_reflector(work)
    assert (result.statistics.received, result.statistics.loss_ratio) == (0, 1.0)
    assert result.statistics.loss is None
    assert not result.refused


def test_a_closed_port_is_reported():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    result = asyncio.run(run_train(train(port, count=2, timeout_s=0.1), estimate))
    assert result.refused
    assert (result.statistics.sent, result.statistics.received, result.unsent) == (2, 0, 0)


def test_a_train_that_is_only_refused_is_given_up():
    """At this interval and with this time-out the whole of it would take minutes."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
    result = asyncio.run(run_train(train(port, count=600, interval_s=0.2, timeout_s=120), estimate))
    assert result.refused
    assert result.statistics.sent in (3, 4)  # the third refusal is told before or in place of the fourth
    assert (result.statistics.received, result.unsent) == (0, 0)


def test_a_peer_that_comes_up_meanwhile_is_measured():
    """Two refusals do not end a train."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]

    async def scenario() -> TrainResult:
        running = asyncio.create_task(run_train(train(port, count=4, interval_s=0.3), estimate))
        while not refusals:
            await asyncio.sleep(0.01)
        reflector = StampReflector("127.0.0.1", port, ReflectorSettings(keys=(KEY,)), estimate)
        await reflector.start()
        try:
            return await running
        finally:
            reflector.close()

    refusals: list[int] = []
    receive = timestamps.receive

    def watched(sock: socket.socket) -> timestamps.Datagram | None:
        try:
            return receive(sock)
        except ConnectionRefusedError:
            refusals.append(1)
            raise

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timestamps, "receive", watched)
        result = asyncio.run(scenario())
    assert result.refused
    assert result.statistics.received in (2, 3)
    assert result.statistics.sent == 4


def test_replies_of_another_sender_are_counted_and_ignored():
    async def echo_rubbish() -> TrainResult:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.setblocking(False)

            def answer() -> None:
                data, address = other.recvfrom(2048)
                other.sendto(data, address)
                other.sendto(b"short", address)

            asyncio.get_running_loop().add_reader(other, answer)
            result = await run_train(train(other.getsockname()[1], count=3, timeout_s=0.2), estimate)
            asyncio.get_running_loop().remove_reader(other)
            return result

    result = asyncio.run(echo_rubbish())
    assert result.statistics.received == 0
    assert result.received[ReplyVerdict.SHORT] == 3
    assert result.received[ReplyVerdict.NOT_OURS] == 3


def test_an_unknown_name_is_the_configurations_fault(monkeypatch):
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    result = asyncio.run(run_train(train(862, host="no-such.invalid"), estimate))
    assert result.failure is Failure.NAME_UNKNOWN
    assert result.detail == "no-such.invalid: Name or service not known"
    assert result.statistics.sent == 0


@pytest.mark.parametrize(("error", "failure"), [
    (OSError(errno.ENETUNREACH, "Network is unreachable"), Failure.UNREACHABLE),
    (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), Failure.SEND_BLOCKED),
    (PermissionError(errno.EPERM, "Operation not permitted"), Failure.CONFIGURATION),
])  # fmt: skip
def test_packets_that_could_not_be_sent_are_no_loss_and_shift_no_stamp(monkeypatch, error, failure):
    really_send, calls = timestamps.send, iter(range(100))

    def failing_send(sock: socket.socket, payload: bytes, *to: object, **how: object) -> None:
        # The sender's socket is the connected one: it gives no address.
        if not to and next(calls) in (2, 3):
            raise error
        really_send(sock, payload, *to, **how)

    monkeypatch.setattr(timestamps, "send", failing_send)

    async def work(reflector: StampReflector) -> TrainResult:
        return await run_train(train(reflector.port, interval_s=0.02), estimate)

    result = against_reflector(work)
    assert (result.statistics.sent, result.statistics.received, result.unsent) == (8, 8, 2)
    assert (result.send_failure, result.detail) == (failure, error.strerror)
    assert result.statistics.kernel_stamps
    assert result.statistics.rtt is not None
    # A stamp of the neighbouring packet would be 20 ms away.
    assert result.statistics.rtt.p50_us < 15_000


def test_the_wall_clock_is_watched(monkeypatch):
    watch = stamp_session._ClockWatch()
    watch.look()
    assert watch.step_ns == 0
    really = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: really() - 3_000_000)
    watch.look()
    assert 2_000_000 < watch.step_ns <= 3_000_000
