import json
from typing import Any

import msgspec
import pytest

from wire.messages import envelope as messages
from wire.messages import peer_tests
from wire.messages.envelope import Fault, Reason
from wire.messages.peer_tests import PeerTest, TestKind
from wire.records import ClockReading, Direction

CLOCK = ClockReading(wall_us=1_775_000_000_000_000, boot_us=5, boot_id="b", synchronised=True)
TEST = PeerTest(
    epoch="00112233445566ff",
    seq=7,
    session="69c9e1f0-1a2b",
    key_id=1,
    direction=Direction.DOWN,
    kind=TestKind.FIXED,
    outcome="completed",
    start=CLOCK,
    duration_us=2_010_000,
    row=8,
    planned_bps=8e6,
    load_us=1_998_000,
    sent_packets=1400,
    sent_bytes=2_000_000,
    lost_packets=3,
)


def test_a_test_round_trips() -> None:
    assert peer_tests.decode_test(messages.encode(TEST)) == TEST


def test_what_a_peer_could_not_know_is_absent() -> None:
    assert not {"received_packets", "received_bytes"} & json.loads(messages.encode(TEST)).keys()


@pytest.mark.parametrize(("changes", "detail"), [
    ({"direction": "sideways"}, "Invalid enum value 'sideways' - at `$.direction`"),
    ({"kind": "burst"}, "Invalid enum value 'burst' - at `$.kind`"),
    ({"key_id": 256}, "Expected `int` <= 255 - at `$.key_id`"),
    ({"sent_packets": -1}, "Expected `int` >= 0 - at `$.sent_packets`"),
    ({"seq": 0}, "Expected `int` >= 1 - at `$.seq`"),
    ({"start": None}, "Expected `object`, got `null` - at `$.start`"),
])  # fmt: skip
def test_one_bad_test_is_a_fault_of_its_own(changes: dict[str, Any], detail: str) -> None:
    fields = json.loads(messages.encode(TEST)) | changes
    assert peer_tests.decode_test(json.dumps(fields).encode()) == Fault(Reason.INVALID, detail)


def test_a_newer_peers_outcome_and_fields_do_no_harm() -> None:
    fields = json.loads(messages.encode(TEST)) | {"invented_later": 1, "outcome": "given-way"}
    decoded = peer_tests.decode_test(json.dumps(fields).encode())
    assert decoded == msgspec.structs.replace(TEST, outcome="given-way")
