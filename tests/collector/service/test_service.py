"""The running collector: the real program with a real broker."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.service import service as program_module
from collector.service.service import CollectorService
from collector.settings import load
from tests.brokers import mosquitto
from tests.collector.agents import Agent, Peer
from tests.collector.examples import (
    EPOCH,
    SITE,
    floor,
    payload,
    peer_arrival,
    peer_test,
    raw,
    stamp,
    stamp_values,
)
from tests.collector.service.running import Collector, batch, now_clock
from tests.processes import free_port, wait_until
from wire.messages import envelope as messages
from wire.messages.envelope import Presence, PresenceState
from wire.messages.topics import Kind, topic
from wire.records import FloorMeasurement, StampMeasurement

ROOT = Path(__file__).parents[3]


def test_a_measurement_reaches_ledger_receipt_metrics_and_page(collector: Collector) -> None:
    down: FloorMeasurement = floor(1, start=now_clock())
    up: StampMeasurement = stamp(2, start=now_clock())
    body = payload(down, up, sent=now_clock())
    with collector.run(), Agent(collector.broker, SITE) as agent:
        agent.publish(body)
        wait_until(lambda: bool(agent.receipts), "a receipt")
        (receipt,) = agent.receipts
        assert receipt.payload == messages.digest(body)
        assert [(line.first, line.last, line.status) for line in receipt.lines] == [(1, 2, "committed")]
        assert collector.committed() == [(EPOCH, 1), (EPOCH, 2)]
        labels = f'site_id="{SITE}",category="unknown",departement="63",pop="unknown",supplier="unknown"'
        state = f'qos_site_state{{{labels},state="ok"}}'
        wait_until(lambda: collector.metric(state) == 1, "the metrics show it")
        page = collector.get("/?lang=en")[1]
        assert ">8.00</b>" in page
        assert "Waiting for the first measurement" in page  # the other site
        assert collector.get("/healthz") == (200, "ok\n")
        assert collector.metric('qos_collector_measurements_total{status="committed"}') == 2


def test_a_disagreement_of_two_records_shows_and_survives_a_restart(
    collector: Collector,
) -> None:
    body = peer_arrival(peer_test(start=now_clock(), sent_packets=2666)).payload
    disagreement = f'qos_peer_comparison_disagreement_ratio{{site_id="{SITE}"'
    newest = 'qos_peer_newest_test_timestamp_seconds{peer="pop-1"}'
    with collector.run():
        with Agent(collector.broker, SITE) as agent, Peer(collector.broker, "pop-1") as peer:
            peer.publish(body)
            wait_until(lambda: bool(peer.receipts), "the peer's receipt")
            ((line,),) = [receipt.lines for receipt in peer.receipts]
            assert (line.first, line.last, line.status) == (1, 1, "committed")
            agent.publish(payload(floor(1, start=now_clock()), sent=now_clock()))
            wait_until(lambda: collector.metric(disagreement) == 0.5, "the disagreement shows")
        assert collector.metric('qos_peer_tests_total{peer="pop-1",result="disagree"}') == 1
    with collector.run():
        assert collector.metric(disagreement) == 0.5
        assert collector.metric(newest) == pytest.approx(time.time(), abs=120)


def test_live_state_is_restored_after_a_restart(collector: Collector) -> None:
    with collector.run(), Agent(collector.broker, SITE) as agent:
        agent.publish(batch(1))
        wait_until(lambda: bool(agent.receipts), "a receipt")
        before = [
            line for line in collector.get("/metrics")[1].splitlines() if line.startswith("qos_rtt_seconds")
        ]
    with collector.run():
        after = collector.get("/metrics")[1].splitlines()
    assert before
    assert set(before) <= set(after)


@pytest.mark.parametrize("nth", [1, 3])
def test_a_kill_before_a_commit_loses_and_doubles_nothing(collector: Collector, nth: int) -> None:
    sent = {(EPOCH, seq): batch(seq) for seq in range(1, 41)}
    command = [sys.executable, "-m", "tests.collector.killed", collector.settings, str(nth)]
    with Agent(collector.broker, SITE) as agent:
        with (collector.directory / "killed.log").open("wb") as log:
            victim = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        try:
            wait_until(lambda: collector.get("/readyz")[0] == 200, "the collector is ready")
            for count, body in enumerate(sent.values(), 1):
                agent.publish(body)
                if count < nth:  # a group, and so a commit, of its own
                    wait_until(lambda count=count: len(agent.receipts) == count, "its receipt")
            assert victim.wait(30) == -signal.SIGKILL
        finally:
            victim.kill()
            victim.wait()
        assert len(agent.receipts) == nth - 1
        assert agent.held() <= set(collector.committed())
        assert len(collector.committed()) == nth - 1
        with collector.run():
            for body in sent.values():  # also those that have their receipt: redelivery is harmless
                agent.publish(body)
            wait_until(lambda: agent.held() == sent.keys(), "every measurement has its receipt")
    assert sorted(collector.committed()) == sorted(sent)


def test_an_orderly_end_commits_the_queue_and_sends_its_receipts(collector: Collector) -> None:
    with Agent(collector.broker, SITE) as agent:
        with collector.run() as process:
            for seq in range(1, 301):
                agent.publish(batch(seq))
            began = time.monotonic()
            os.kill(process, signal.SIGTERM)
            wait_until(lambda: collector.get("/healthz")[0] == 0, "the collector has ended")
            assert time.monotonic() - began < 10
        committed = set(collector.committed())
        assert committed
        wait_until(lambda: agent.held() >= committed, "what was committed has its receipt")
        assert agent.held() == committed
    assert "info collector: stopped by SIGTERM\n" in (collector.directory / "collector.log").read_text()


def test_an_orderly_end_does_not_wait_for_a_slow_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(program_module, "DRAIN_SECONDS", 0.3)
    collector = Collector(tmp_path, free_port(), free_port())
    program = CollectorService(load(collector.settings), before_commit=lambda: time.sleep(0.2))

    async def run() -> None:
        stop = asyncio.Event()
        running_program = asyncio.create_task(program.run(stop))
        for seq in range(1, 2001):
            await program.take(topic(SITE, Kind.RESULTS), batch(seq))
        stop.set()
        await running_program

    asyncio.run(run())
    assert "messages were not committed in time: their agents send them again" in caplog.text
    assert not any(thread.name == "ledger-writer" for thread in threading.enumerate())
    assert 0 < len(collector.committed()) < 2000


def test_receipts_of_duplicates_conflicts_and_rejected_measurements(collector: Collector) -> None:
    one = stamp(1, start=now_clock())
    bad = raw(stamp(2))[0].replace(b'"outcome":"ok"', b'"outcome":"fun"')
    with collector.run(), Agent(collector.broker, SITE) as agent:
        for body in (
            payload(one),
            payload(one),
            payload(stamp(1, start=one.start, values=stamp_values(1)), bad),
        ):
            agent.publish(body)
        wait_until(lambda: len(agent.lines()) == 4, "four lines")
        lines = [(line.first, line.status.value, line.reason and line.reason.value) for line in agent.lines()]
        conflict = [(1, "conflict", None), (2, "rejected", "invalid")]
        assert lines == [(1, "committed", None), (1, "committed", None), *conflict]
        for status, count in (("committed", 2), ("conflict", 1), ("rejected", 1)):
            name = f'qos_collector_measurements_total{{status="{status}"}}'
            wait_until(lambda name=name, count=count: collector.metric(name) == count, name)
        assert collector.metric("qos_collector_redelivered_measurements_total") == 1
    logged = f"site {SITE}: 1 measurements arrived again with other content: both contents are kept"
    assert logged in (collector.directory / "collector.log").read_text()


@pytest.mark.parametrize(
    ("body", "reason", "detail"),
    [
        (batch(1)[:-60], "malformed", "Input data was truncated"),
        (batch(1) + b" " * 600_000, "too-large", None),
    ],
    ids=["truncated", "huge"],
)
def test_bad_messages_are_rejected_with_a_reason(
    shared: Collector, body: bytes, reason: str, detail: str | None
) -> None:
    rejected = f'qos_collector_rejects_total{{reason="{reason}"}}'
    before = shared.metric(rejected) or 0
    with Agent(shared.broker, SITE) as agent:
        agent.publish(body)
        agent.publish(batch(7))
        wait_until(lambda: len(agent.receipts) == 2, "two receipts")
        refused, good = sorted(agent.receipts, key=lambda receipt: len(receipt.lines))
        assert (refused.payload, refused.lines) == (messages.digest(body), ())
        assert refused.reason == reason
        assert refused.detail == (detail or f"{len(body)} bytes; at most 524288 are taken")
        assert good.reason is None
        wait_until(lambda: shared.metric(rejected) == before + 1, rejected)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """Running collector, shared by tests that do not change it."""
    directory = tmp_path_factory.mktemp("collector")
    with mosquitto(directory) as broker:
        made = Collector(directory, broker.port, free_port())
        with made.run():
            yield made


def test_a_message_on_an_impossible_topic_is_counted_and_has_no_receipt(shared: Collector) -> None:
    rejected = 'qos_collector_rejects_total{reason="wrong-topic"}'
    before = shared.metric(rejected) or 0
    with Agent(shared.broker, SITE) as agent:
        agent.publish(batch(1), "qos/v1/a b/results")
        wait_until(lambda: shared.metric(rejected) == before + 1, rejected)
        assert agent.receipts == []


def test_presence_is_a_metric(shared: Collector) -> None:
    place = topic(SITE, Kind.PRESENCE)
    online = f'qos_agent_online{{site_id="{SITE}"'
    with Agent(shared.broker, SITE) as agent:
        for state, value in ((PresenceState.ONLINE, 1), (PresenceState.CONNECTION_LOST, 0)):
            presence = Presence(schema=1, sender=SITE, state=state, program="0.1.0", since_us=1)
            agent.publish(messages.encode(presence), place, retain=True)
            wait_until(lambda value=value: shared.metric(online) == value, f"online is {value}")


def test_the_inventory_is_read_again_while_running(shared: Collector) -> None:
    path = shared.directory / "sites.csv"
    before = path.read_text()
    path.write_text(f"{before}late,Lycée tardif,15\n")
    wait_until(lambda: "Lycée tardif" in shared.get("/")[1], "the new site is on the page")
    path.write_text(f"{before}late,\n")
    wait_until(
        lambda: "the changed inventory has mistakes" in shared.get("/")[1], "the page reports the mistake"
    )
    assert shared.get("/readyz") == (200, "ready\n")
    assert shared.metric("qos_collector_inventory_valid") == 0
    path.write_text(before)
    wait_until(lambda: "Lycée tardif" not in shared.get("/")[1], "the site is gone")


def test_the_page_is_static(shared: Collector) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{shared.web}/", timeout=10) as answer:
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert 'lang="fr"' in shared.get("/?lang=fr")[1]
    assert shared.get("/nothing")[0] == 404


def test_a_missing_broker_is_reported_and_used_once_it_runs(tmp_path: Path) -> None:
    port = free_port()
    collector = Collector(tmp_path, port, free_port(), expose="false")
    problem = f"broker 127.0.0.1:{port}: nothing listens there: is the broker running, and is the port right?"
    with collector.run(ready="/healthz"):
        wait_until(
            lambda: collector.get("/readyz") == (503, f"{problem}\n"), "the missing broker is reported"
        )
        assert problem in collector.get("/")[1]
        with mosquitto(tmp_path, port=port):
            wait_until(lambda: collector.get("/readyz") == (200, "ready\n"), "ready")
        text = collector.get("/metrics")[1]
    assert "qos_collector_broker_connected" in text
    assert "qos_site_state" not in text
