"""Load tests over real loopback sockets: our client against our server."""

import asyncio
import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from agent.load.udpstp_client import run_load, run_search
from peer.admission import Admission, AdmissionLimits
from peer.udpstp import UdpstpServer
from wire.records import Algorithm, Direction
from wire.udpstp import auth, pdu
from wire.udpstp.load import Ending, LoadReport, LoadSoFar
from wire.udpstp.reception import Limits

KEY_ID, SECRET = 7, b"a shared secret"
BOTH = pytest.mark.parametrize("direction", list(Direction))
MEGABIT = 1_000_000
PROBES = 200  # at most, after a load


@contextlib.asynccontextmanager
async def serving(
    capacity: AdmissionLimits | None = None, host: str = "127.0.0.1", test_ports: Sequence[int] = (0,)
) -> AsyncIterator[UdpstpServer]:
    plenty = AdmissionLimits(100 * MEGABIT, 100 * MEGABIT, 8)
    admission = Admission(capacity or plenty)
    server = UdpstpServer(host, 0, {KEY_ID: SECRET}, admission, Limits(100, 60), test_ports=test_ports)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


def load(
    server: UdpstpServer, direction: Direction, *, row: int = 8, seconds: int = 1, secret: bytes = SECRET,
    cancel: threading.Event | None = None, host: str = "127.0.0.1",
    progress: Callable[[str], None] | None = None, on_load: Callable[[LoadSoFar], None] | None = None,
) -> Awaitable[LoadReport]:  # fmt: skip
    return run_load(
        host, server.port, key_id=KEY_ID, secret=secret, direction=direction, row=row, duration_s=seconds,
        dscp=10, cancel=cancel, progress=progress, on_load=on_load,
    )  # fmt: skip


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


@BOTH
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_every_packet_sent_is_received(
    direction: Direction, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    lines: list[str] = []
    caplog.set_level(logging.INFO)
    async with serving(host=host) as server:
        report = await load(server, direction, host=host, progress=lines.append)
        await until(lambda: not server.tests)
    assert (report.ending, report.detail) == (Ending.COMPLETED, "")
    assert report.received_packets == report.sent_packets
    assert report.received_ip_bytes == report.sent_ip_bytes == report.sent_packets * 1000
    assert (report.lost, report.duplicated, report.blocked_sends, report.receiver_drops) == (0, 0, 0, 0)
    # A busy machine may stall the sender. Packets not sent are reported as a stall, unless they are the last
    # ones of its plan: without a later packet, a receiver cannot measure a stall.
    missing = report.planned_packets - report.sent_packets
    unsent_us = max(report.planned_duration_us - report.send_span_us, 0)
    assert 0 <= missing <= (report.stall_us + unsent_us) / 1000 + 4
    assert sum(interval.datagrams for interval in report.intervals) == report.received_packets
    assert max(report.bytes_sent, report.bytes_received) <= 1_003_000 + PROBES * 80
    assert any(line.startswith(f"{direction} 8.00 Mbit/s: ") for line in lines)
    logged = [record.getMessage() for record in caplog.records if record.name == "peer.udpstp"]
    assert len(logged) == 1
    assert f"test session={report.session} key=7 direction={direction} row=8 mbit_s=8 " in logged[0]
    assert host not in logged[0]


async def test_a_closed_port_ends_the_test_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    report = await run_load(
        "127.0.0.1", port, key_id=1, secret=b"x", direction=Direction.UP, row=8, duration_s=1
    )
    assert (report.ending, report.detail) == (Ending.NOT_LISTENING, "nothing listens at the peer's port")


@pytest.mark.parametrize(("capacity", "code"), [
    (AdmissionLimits(7 * MEGABIT, 100 * MEGABIT, 8), 10),
    (AdmissionLimits(100 * MEGABIT, 100 * MEGABIT, 1), 13),
    (AdmissionLimits(100 * MEGABIT, 100 * MEGABIT, 8, tests_per_key=1), 10),
])  # fmt: skip
async def test_a_test_beyond_the_limits_is_refused_without_disturbing_the_running_one(
    capacity: AdmissionLimits, code: int
) -> None:
    async with serving(capacity) as server:
        running = asyncio.ensure_future(load(server, Direction.DOWN, row=7))
        await until(lambda: server.tests == 1)
        refused = await load(server, Direction.DOWN)
        running = await running
    assert (refused.ending, refused.refusal) == (Ending.REFUSED, code)
    assert running.ending is Ending.COMPLETED
    assert running.received_packets == running.sent_packets


async def test_a_test_releases_its_bandwidth_at_its_end() -> None:
    endings = []
    async with serving(AdmissionLimits(8 * MEGABIT, 8 * MEGABIT, 1, tests_per_key=1)) as server:
        for direction in Direction:
            endings.append((await load(server, direction)).ending)
            await until(lambda: not server.tests)
    assert endings == [Ending.COMPLETED, Ending.COMPLETED]


async def test_a_test_without_a_thread_is_refused_and_releases_its_bandwidth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    async with serving(AdmissionLimits(8 * MEGABIT, 8 * MEGABIT, 1)) as server:
        with monkeypatch.context() as patched:
            patched.setattr(server._threads, "submit", refuse)
            refused = await load(server, Direction.UP)
        served = await load(server, Direction.UP)
    assert (refused.ending, refused.refusal) == (Ending.REFUSED, 13)
    assert served.ending is Ending.COMPLETED


@BOTH
async def test_cancelling_frees_the_peer_at_once(direction: Direction) -> None:
    async with serving() as server:
        cancel = threading.Event()
        running = asyncio.ensure_future(load(server, direction, seconds=30, cancel=cancel))
        # Behind the lead-in.
        await until(lambda: any(one.test.load_packets > 100 for one in server._running), 30)
        cancel.set()
        report = await running
        await until(lambda: not server.tests, 1.0)
    assert report.ending is Ending.STOPPED
    assert 0 < report.received_packets < 5000


@BOTH
async def test_progress_reports_begin_and_end_of_the_load(direction: Direction) -> None:
    reports: list[tuple[float, LoadSoFar]] = []
    loop = asyncio.get_running_loop()
    async with serving() as server:
        await load(server, direction, on_load=lambda so_far: reports.append((loop.time(), so_far)))
        over = loop.time()
    (begin, _), (end, last) = reports[0], reports[-1]
    assert end - begin == pytest.approx(1, abs=0.2)
    assert over > end
    counts = [(so_far.line_bytes, so_far.packets) for _, so_far in reports]
    assert counts == sorted(counts)
    assert last.line_bytes >= last.packets * 500
    assert last.packets > 100


def test_cancelling_the_task_ends_its_thread_first() -> None:
    async def scenario() -> None:
        async with serving() as server:
            # A peer that awaits the activation waits on for its watchdog's time.
            reports: list[LoadSoFar] = []
            running = asyncio.ensure_future(load(server, Direction.DOWN, seconds=30, on_load=reports.append))
            await until(lambda: bool(reports))
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            await until(lambda: not server.tests, 1.0)

    asyncio.run(scenario())
    assert threading.active_count() == 1


async def test_a_progress_callback_that_raises_ends_the_load() -> None:
    def fail(_: LoadSoFar) -> None:
        raise LookupError

    async with serving() as server:
        cancel = threading.Event()
        with pytest.raises(LookupError):
            await load(server, Direction.UP, seconds=30, cancel=cancel, on_load=fail)
        await until(lambda: not server.tests)
        assert cancel.is_set()


@BOTH
async def test_a_peer_that_stops_ends_the_test_with_a_reason(direction: Direction) -> None:
    async with serving() as server:
        running = asyncio.ensure_future(load(server, direction, seconds=30))
        await until(lambda: server.tests == 1)
        await until(lambda: all(one.test.load_packets > 100 for one in server._running))
        await server.stop()
        report = await running
    assert report.ending is Ending.STOPPED_BY_PEER
    assert report.received_packets == report.sent_packets


async def test_malformed_packets_at_the_control_port_have_no_answer() -> None:
    async with serving() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            noise.connect(("127.0.0.1", server.port))
            noise.setblocking(False)
            for packet in (b"", b"x" * 56, bytes.fromhex("ace1") + bytes(54), b"y" * 60_000):
                noise.send(packet)
            report = await load(server, Direction.UP)
            with pytest.raises(BlockingIOError):
                noise.recv(100)
    assert report.ending is Ending.COMPLETED


@BOTH
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_a_search_climbs_to_its_limit_and_reserves_no_more(
    direction: Direction, algorithm: Algorithm, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(AdmissionLimits(100 * MEGABIT, 100 * MEGABIT, 8)) as server:
        running = asyncio.ensure_future(search(server, direction, algorithm, 1000))
        await until(lambda: server.tests == 1)
        refused = await search(server, direction, algorithm, 1)
        report = await search(server, _other(direction), algorithm, 5)
        running.cancel()
    assert (report.ending, report.detail, refused.refusal) == (Ending.COMPLETED, "", 10)
    assert (report.algorithm, report.planned_bps) == (algorithm, 5 * MEGABIT)
    assert 0 < report.received_bps < 5.2e6
    assert report.received_packets == report.sent_packets
    assert f"direction={_other(direction)} row=search mbit_s=5 " in caplog.text


def _other(direction: Direction) -> Direction:
    return Direction.UP if direction is Direction.DOWN else Direction.DOWN


def search(
    server: UdpstpServer, direction: Direction, algorithm: Algorithm, megabits: int
) -> Awaitable[LoadReport]:
    return run_search(
        "127.0.0.1", server.port, key_id=KEY_ID, secret=SECRET, direction=direction,
        highest_bps=megabits * MEGABIT, duration_s=2, algorithm=algorithm,
    )  # fmt: skip


async def test_tests_use_the_ports_of_the_settings_and_pass_over_those_in_use() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        used = taken.getsockname()[1]
        async with serving(test_ports=(used, used + 1)) as server:
            for _ in range(3):
                with server._open_test_port("127.0.0.1") as sock:
                    assert sock.getsockname()[1] == used + 1
            report = await load(server, Direction.DOWN)
            assert report.ending is Ending.COMPLETED
        async with serving(test_ports=(used,)) as server:
            report = await load(server, Direction.DOWN)
    assert (report.ending, report.refusal) == (Ending.REFUSED, 13)


async def test_another_version_of_the_protocol_is_named_in_the_log_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with serving() as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for version in (11, 11, 9, 20):
                sock.sendto(b"\xac\xe1" + version.to_bytes(2) + bytes(52), ("127.0.0.1", server.port))
            await until(lambda: "version 9" in caplog.text)
    named = [one.getMessage() for one in caplog.records if "speaks version" in one.getMessage()]
    assert [text.split(" of UDPSTP")[0] for text in named] == [
        "a client speaks version 11", "a client speaks version 9",
    ]  # fmt: skip


async def test_a_wrong_key_leaves_a_trace(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        report = await load(server, Direction.DOWN, secret=b"another secret")
        assert report.ending is Ending.NO_ANSWER
        assert server.refusals.counts == {"wrong-key": 1}
    assert (
        "set-ups not served: 1 wrong-key (key id 7) (1 since the start): compare the secrets" in caplog.text
    )
    assert "127.0.0.1" not in caplog.text


def set_up(direction: Direction = Direction.DOWN, *, key_id: int = KEY_ID, mbps: int = 100) -> bytes:
    """Setup Request that nobody will activate."""
    now = int(time.time())
    request = pdu.Setup(
        ident=1 + secrets.randbelow(65_535), auth_time=now, key_id=key_id, bandwidth_mbps=mbps,
        upstream=direction is Direction.UP,
    )  # fmt: skip
    return auth.sign(request.pack(), auth.derive_keys(SECRET, now).client)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9"])
async def test_set_ups_that_nobody_activates_refuse_no_test_of_another_key(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Each asks for the whole bandwidth. Before, two a second refused every load test."""
    caplog.set_level(logging.INFO)
    ended: list[str] = []
    admission = Admission(AdmissionLimits(100 * MEGABIT, 100 * MEGABIT, 4))
    keys = {KEY_ID: SECRET, 8: SECRET}
    server = UdpstpServer(
        "127.0.0.1", 0, keys, admission, Limits(100, 60), lambda test, _: ended.append(test.outcome.value)
    )
    await server.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        flood.bind((host, 0))
        stop = asyncio.Event()

        async def send() -> None:
            while not stop.is_set():
                flood.sendto(set_up(key_id=8), ("127.0.0.1", server.port))
                await asyncio.sleep(0.02)

        sending = asyncio.ensure_future(send())
        await until(lambda: server.refusals.counts["waiting"] > 0, 20)
        report = await load(server, Direction.DOWN)
        stop.set()
        await sending
    await until(lambda: not server.tests)
    await server.stop()
    assert (report.ending, report.refusal) == (Ending.COMPLETED, None)
    counts = server.refusals.counts
    # Those of a holder that is known for it are counted, and not recorded.
    assert counts["not-activated"] >= ended.count("not-activated") == 2
    lines = [one for one in caplog.messages if "outcome=refused" in one]
    assert len(lines) <= 30 < counts["waiting"] + counts["bandwidth"]
