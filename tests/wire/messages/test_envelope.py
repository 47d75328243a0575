import json
from typing import Any

import msgspec
import pytest

from wire import records
from wire.messages import envelope as messages
from wire.messages.envelope import Envelope, EpochMark, Fault, Gap, GapReason, Presence, PresenceState, Reason

CLOCK = records.ClockReading(wall_us=1_775_000_000_000_000, boot_us=5, boot_id="b", synchronised=True)
STAMP = records.StampMeasurement(
    epoch="00112233445566ff",
    seq=7,
    purpose=records.Purpose.SCHEDULED,
    peer="pop-1",
    start=CLOCK,
    duration_us=10_000_000,
    outcome=records.Outcome.FAILED,
    failure=records.Failure.NO_ANSWER,
    dscp=46,
)


def envelope(**changes: object) -> Envelope:
    base = Envelope(
        schema=1,
        sender="0631234A",
        program="0.1.0",
        sent=CLOCK,
        marks=(EpochMark(epoch=STAMP.epoch, high_water=7),),
        records=(msgspec.Raw(messages.encode(STAMP)),),
    )
    return msgspec.structs.replace(base, **changes)


def test_an_envelope_round_trips_with_its_measurements() -> None:
    decoded = messages.decode(messages.encode(envelope()), Envelope, "0631234A")
    assert messages.decode_measurement(decoded.records[0]) == STAMP


@pytest.mark.parametrize("reason", [GapReason.DAMAGED, "moon-phase"])
def test_why_a_gap_is_one_may_be_told_in_a_newer_word(reason: str) -> None:
    gap = Gap(epoch=STAMP.epoch, first=1, last=2, reason=reason, at_us=3)
    decoded = messages.decode(messages.encode(envelope(gaps=(gap,))), Envelope, "0631234A")
    assert decoded.gaps == (gap,)


def test_a_failed_measurement_carries_no_values() -> None:
    assert "values" not in json.loads(messages.encode(STAMP))


def test_a_measurement_of_an_unknown_probe_is_kept_and_says_so() -> None:
    raw = messages.encode(STAMP).replace(b'"stamp"', b'"outage-cause"')
    decoded = messages.decode_measurement(raw)
    assert isinstance(decoded, records.UnknownMeasurement)
    assert (records.probe_of(decoded), decoded.seq) == ("outage-cause", 7)


@pytest.mark.parametrize("words", [
    {"purpose": "audit"}, {"failure": "moon-phase"}, {"probe": "floor", "values": {"verdict": "provisional"}},
])  # fmt: skip
def test_a_newer_agents_word_is_kept_as_it_came(words: dict[str, Any]) -> None:
    fields = json.loads(messages.encode(STAMP)) | words
    decoded = messages.decode_measurement(json.dumps(fields).encode())
    assert isinstance(decoded, records.UnknownMeasurement)
    assert (records.probe_of(decoded), decoded.seq, decoded.start) == (fields["probe"], 7, CLOCK)
    assert (decoded.purpose, decoded.failure) == (fields["purpose"], fields["failure"])


@pytest.mark.parametrize(("changes", "detail"), [
    ({"outcome": "odd"}, "Invalid enum value 'odd' - at `$.outcome`"),
    ({"direction": "sideways"}, "Invalid enum value 'sideways' - at `$.direction`"),
    ({"purpose": "two words"}, "Invalid enum value 'two words' - at `$.purpose`"),
    ({"purpose": "audit", "seq": 0}, "Expected `int` >= 1 - at `$.seq`"),
    ({"purpose": 3}, "Expected `str`, got `int` - at `$.purpose`"),
    ({"values": {"sent": -1}}, "Expected `int` >= 0 - at `$.values.sent`"),
])  # fmt: skip
def test_every_other_fault_still_refuses_a_measurement(changes: dict[str, Any], detail: str) -> None:
    fields = json.loads(messages.encode(STAMP)) | changes
    assert messages.decode_measurement(json.dumps(fields).encode()) == Fault(Reason.INVALID, detail)


def test_unknown_fields_of_a_newer_agent_do_no_harm() -> None:
    fields = json.loads(messages.encode(STAMP)) | {"invented_later": 1}
    assert messages.decode_measurement(json.dumps(fields).encode()) == STAMP


@pytest.mark.parametrize(("payload", "reason", "detail"), [
    (b"", Reason.MALFORMED, "Input data was truncated"),
    (b'{"schema":1', Reason.MALFORMED, "Input data was truncated"),
    (b"\xff\xfe", Reason.MALFORMED, "JSON is malformed: invalid character (byte 0)"),
    (b"[]", Reason.INVALID, "Expected `object`, got `array`"),
    (b'{"schema":2}', Reason.NEWER_SCHEMA, "schema 2 is newer than this program's 1: upgrade it"),
    (b'{"schema":1}', Reason.INVALID, "Object missing required field `sender`"),
    (b"x" * (messages.MAX_MESSAGE_BYTES + 1), Reason.TOO_LARGE, "524289 bytes; at most 524288 are taken"),
    (messages.encode(envelope(sender="B")), Reason.WRONG_SENDER, "says B on the topic of 0631234A"),
    (messages.encode(envelope(sender="B/C")), Reason.INVALID,
     r"Expected `str` matching regex '\\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\\Z' - at `$.sender`"),
])  # fmt: skip
def test_what_does_not_fit_is_a_fault_with_its_reason(payload: bytes, reason: Reason, detail: str) -> None:
    assert messages.decode(payload, Envelope, "0631234A") == Fault(reason, detail)


def test_presence_round_trips() -> None:
    presence = Presence(schema=1, sender="A", state=PresenceState.ONLINE, program="0.1.0", since_us=1)
    assert messages.decode(messages.encode(presence), Presence, "A") == presence
