"""Decoders of text: messages, topics, settings, the inventory, and the agent's own files."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from agent import configuration
from agent.configuration import SETTINGS
from agent.probes.capacity import byte_budget
from agent.service import handover, status_file
from agent.service.handover import Handover
from agent.settings import file as agent_settings
from agent.settings import hours, sections
from collector import settings as collector_settings
from collector.ingest import decode as ingest
from collector.model import inventory, message
from collector.model.receipt import receipt_of_unreadable
from host import load, units
from host.settings import SettingsError
from peer import settings as peer_settings
from peer.settings import PeerSettings
from tests.collector import examples
from tests.fuzz.running import Target
from wire.messages import commands, peer_tests, topics
from wire.messages import envelope as messages
from wire.messages.envelope import Fault
from wire.path import exchange
from wire.records import ClockChange, ClockMeasurement, ClockValues, UnknownMeasurement

ROOT = Path(__file__).parents[2]
SITE, PEER = examples.SITE, "pop-1"
YAML_S = 20.0
"""PyYAML asks each open bracket about each token, until there are more than Python's recursion allows."""
_LASTING = tempfile.TemporaryDirectory(prefix="plancher-fuzz-")
_FOLDER = Path(_LASTING.name)
OUTAGE = examples.outage(7, examples.NOW_US, examples.NOW_US + examples.MINUTE_US)
CLOCK = ClockMeasurement(
    **examples.common(8, examples.NOW_US, examples.MINUTE_US),
    values=ClockValues(change=ClockChange.SYNCHRONISED, offset_us=10, before_us=-(10**15)),
)
_RECORDS = tuple(
    map(
        messages.encode,
        (examples.floor(), examples.stamp(), examples.capacity(), examples.interface(), examples.path(),
         examples.failed(3), OUTAGE, CLOCK),
    )
)  # fmt: skip
GAP = messages.Gap(
    epoch=examples.EPOCH, first=90, last=99, reason=messages.GapReason.DROPPED, at_us=examples.NOW_US
)
_PAYLOAD = examples.payload(*_RECORDS, gaps=(GAP,), obeyed="r1")
_RECEIPT = messages.Receipt(
    schema=messages.SCHEMA,
    sender=SITE,
    payload="0" * 64,
    lines=(
        messages.ReceiptLine(epoch=examples.EPOCH, first=1, last=3, status=messages.ReceiptStatus.COMMITTED),
    ),
    declared=(messages.EpochRange(epoch=examples.EPOCH, first=4, last=5),),
)
_PRESENCE = messages.Presence(
    schema=messages.SCHEMA, sender=SITE, state=messages.PresenceState.ONLINE, program="0.1.0", since_us=1
)
_COMMAND = commands.CommandMessage(
    schema=messages.SCHEMA, site=SITE, command=commands.Resend(id="r1", since_us=examples.NOW_US)
)
_PEER_TEST = messages.encode(examples.peer_test())
_PEER_PAYLOAD = examples.peer_arrival(examples.peer_test()).payload


def generalised(outcome: object) -> str:
    """Return an outcome without the parts that differ from input to input."""
    if isinstance(outcome, Fault):
        return f"{outcome.reason} {re.sub(r'[0-9]+|`.*`', '', outcome.detail)[:60]}"
    return type(outcome).__name__


def _message(kind: type[messages.Message]) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        found = messages.decode(data, kind, SITE)
        if not isinstance(found, Fault):
            again = messages.decode(messages.encode(found), kind, SITE)
            assert again == found, "what is written is not what was read"
        return generalised(found)

    return run


def _measurement(data: bytes) -> str:
    found = messages.decode_measurement(data)
    if not isinstance(found, Fault | UnknownMeasurement):
        assert messages.decode_measurement(messages.encode(found)) == found
    return generalised(found)


def _command(data: bytes) -> str:
    return generalised(commands.decode(data, SITE))


def _peer_test(data: bytes) -> str:
    return generalised(peer_tests.decode_test(data))


def _judged(data: bytes) -> str:
    """Judge a message whose first line is the topic and whose rest is the payload."""
    topic, _, payload = data.partition(b"\n")
    judged = ingest.judge(message.Arrival(topic.decode(errors="replace"), payload, examples.NOW_US))
    match judged:
        case message.UnreadableMessage():
            receipt = receipt_of_unreadable(judged)
            assert receipt is None or len(messages.encode(receipt)) < 2000
            return generalised(judged.fault)
        case message.Batch():
            return "batch " + " ".join(sorted({type(item).__name__ for item in judged.items}))
        case message.PeerBatch():
            return "peer's batch " + " ".join(sorted({type(item).__name__ for item in judged.items}))


def _topic(data: bytes) -> str:
    text = data.decode(errors="surrogateescape")
    site, of_peer = topics.parse(text), topics.parse_peer(text)
    assert site is None or topics.topic(*site) == text
    assert of_peer is None or topics.peer_topic(*of_peer) == text
    return f"{site and site[1]} {of_peer and of_peer[1]}"


def _settings(load_file: Callable[[Path], object]) -> Callable[[bytes], str]:
    path = _FOLDER / "settings.yaml"

    def run(data: bytes) -> str:
        path.write_bytes(data)
        try:
            return generalised(load_file(path))
        except SettingsError as error:
            text = str(error)
            assert "\n" not in text, "one line"
            assert len(text) < 3000
            return re.sub(r"[0-9]+|'.*'|`.*`", "", text)[:80]

    return run


def _keys_file(path: Path) -> object:
    path.chmod(0o600)
    return peer_settings.secrets(PeerSettings(keys_file=str(path)))


def _key_file(path: Path) -> object:
    path.chmod(0o600)
    return agent_settings.peer_key(sections.PeerAccessSettings(key_file=str(path)))


def _inventory(data: bytes) -> str:
    try:
        return generalised(inventory.parse(data.decode(errors="replace"), "sites.csv"))
    except inventory.InventoryError as error:
        problems = error.problems
    assert len(problems) <= inventory.MAX_PROBLEMS + 1
    return re.sub(r"[0-9]+|'.*'", "", problems[0])[:60]


def _status(data: bytes) -> str:
    (_FOLDER / status_file.NAME).write_bytes(data)
    return generalised(status_file.read(_FOLDER))


def _handover(data: bytes) -> str:
    descriptor = os.memfd_create("fuzz")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        return generalised(handover.receive(descriptor))
    except msgspec.DecodeError as error:
        return type(error).__name__


def _budget(data: bytes) -> str:
    path = _FOLDER / "budget.json"
    path.write_bytes(data)
    budget = byte_budget.ByteBudget(path, 10**9, 2 * 10**9)
    left = budget.left(examples.clock())
    assert left.byte_count >= 0
    return str(left.byte_count > 500_000_000)


def _exchange(decode: Callable[[bytes], object]) -> Callable[[bytes], str]:
    def run(data: bytes) -> str:
        try:
            return generalised(decode(data))
        except msgspec.DecodeError as error:
            return re.sub(r"[0-9]+|`.*`", "", str(error))[:60]

    return run


def _quantities(data: bytes) -> str:
    text, outcomes = data.decode(errors="replace"), []
    for kind in units.QUANTITIES:
        try:
            assert units.parse(kind, text) >= 0
            outcomes.append(kind.__name__)
        except ValueError:
            outcomes.append("-")
    return " ".join([*outcomes, str(hours.problem(text) is None)])


def _load(data: bytes) -> str:
    return generalised(load.parse(data))


def _yaml(name: str) -> bytes:
    """Return an example file without its comments, which only slow the parser down."""
    lines = (ROOT / name).read_text().splitlines()
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(kept).encode()


_MINIMAL = SETTINGS(site=SITE, peer=sections.PeerAccessSettings(key="k"))
_STATUS = status_file.AgentStatus(
    written=examples.clock(), started=examples.clock(), process=1, version="0.1.0", site=SITE,
    running=("stamp",), next_starts={"floor down": 1},
)  # fmt: skip
_REQUEST = exchange.PathRequest(
    address="192.0.2.1", port=862, dscp=46, hops=30, packets=3, within_s=60.0, authenticated=True,
    test_packets=(b"x" * 112, b"y" * 112),
)  # fmt: skip
_REPLY = exchange.PeerReply(ttl=4, rtt_ns=9_000_000, payload=b"z" * 112)
_ANSWER = exchange.PathAnswer(values=examples.path_values(), replies=(_REPLY,))
_TODAY = byte_budget._day(examples.NOW_US)
_SPENT = messages.encode(byte_budget.BudgetSpent(_TODAY, 999_999_999, 1_999_999_999))
_HANDOVER = msgspec.json.encode(Handover(_MINIMAL, b"k", "0.1.0"), enc_hook=handover._number)
_ON_TOPICS = (f"qos/v1/{SITE}/results".encode(), f"qos/v1/peers/{PEER}/tests".encode())
_AGENTS = (
    b"site: A\npeer: {key: sixteen-of-bytes}\nfloor: {down: 8 Mbit/s, site_hours: 'Mon-Fri 07:00-19:00'}\n",
    (
        b"site: 'B'\npeer:\n  host: 127.0.0.1\n  key: sixteen-of-bytes\n"
        b"schedule:\n  stamp: 1 min\n  path: null\n"
    ),
)
_PEERS = b"keys: [{id: 1, key: sixteen-of-bytes}]\nudpstp: {port: 1, highest_rate: 10 Mbit/s}\n"
_COLLECTORS = b"inventory: s.csv\nledger: {keep_payloads: 2 d}\n"

TARGETS = (
    Target("envelope", _message(messages.Envelope), (_PAYLOAD,)),
    Target("receipt", _message(messages.Receipt), (messages.encode(_RECEIPT),)),
    Target("presence", _message(messages.Presence), (messages.encode(_PRESENCE),)),
    Target("measurement", _measurement, _RECORDS),
    Target("command", _command, (messages.encode(_COMMAND),)),
    Target("peer-test", _peer_test, (_PEER_TEST,)),
    Target("judge", _judged, (_ON_TOPICS[0] + b"\n" + _PAYLOAD, _ON_TOPICS[1] + b"\n" + _PEER_PAYLOAD)),
    Target("topic", _topic, _ON_TOPICS),
    Target("agent.yaml", _settings(configuration.load), (*_AGENTS, _yaml("agent.yaml")), slowest_s=YAML_S),
    Target("peer.yaml", _settings(peer_settings.load), (_PEERS, _yaml("peer.yaml")), slowest_s=YAML_S),
    Target(
        "collector.yaml",
        _settings(collector_settings.load),
        (_COLLECTORS, _yaml("collector.yaml")),
        slowest_s=YAML_S,
    ),
    Target(
        "keys-file",
        _settings(_keys_file),
        (b"1 secret-of-sixteen-bytes\n# note\n2 other-secret-of-sixteen\n",),
    ),
    Target("key-file", _settings(_key_file), (b"secret-of-sixteen-bytes\n",)),
    Target("sites.csv", _inventory, ((ROOT / "sites.csv").read_bytes(), b"site_id;name\nA;B\n")),
    Target("status-file", _status, (messages.encode(_STATUS),)),
    Target("handover", _handover, (_HANDOVER,)),
    Target("byte-budget", _budget, (_SPENT, _SPENT.replace(b"9", b"8"))),
    Target("path-request", _exchange(exchange.decode_request), (messages.encode(_REQUEST),)),
    Target("path-answer", _exchange(exchange.decode_answer), (messages.encode(_ANSWER),)),
    Target("quantity", _quantities, (b"8 Mbit/s", b"10 s", b"64 MB", b"Mon-Fri 07:00-19:00", b"01:00-05:00")),
    Target("proc-stat", _load, (b"cpu  100 0 50 1000 20 0 3 0 0 0\n",)),
)
