import json
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
import pytest

from agent.probes import PROBES
from agent.report import document
from agent.report.document import MeasureDocument
from agent.report.measurement import Tone
from tests.collector import examples
from tests.documentation import ROOT
from wire.records import Failure, Measurement, Outcome

PUBLISHED = ROOT / "docs" / "measure.schema.json"
VALUES = examples.floor_values()
EXAMPLES: dict[str, Measurement] = {
    "floor": examples.floor(
        values=msgspec.structs.replace(
            VALUES,
            under_load=examples.under_load(),
            tests=(msgspec.structs.replace(VALUES.tests[0], series=examples.samples()),),
        )
    ),
    "stamp": examples.stamp(),
    "path": examples.path(),
    "dns": examples.dns(),
    "interface": examples.interface(),
    "capacity": examples.capacity(),
    "reachability": examples.outage(1, 0),
}


def printed(*records: Measurement, verdict: Tone = Tone.MEASURED) -> dict[str, Any]:
    made = MeasureDocument.of("0631234A", "peer.example.net", verdict, records)
    read: dict[str, Any] = json.loads(msgspec.json.encode(made))
    return read


def test_the_published_schema_is_up_to_date() -> None:
    assert PUBLISHED.read_text(encoding="utf-8") == document.schema_text(), "run: make schema"


@pytest.mark.parametrize("probe", PROBES)
def test_a_document_of_each_probe_has_the_schema(probe: str) -> None:
    schema = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    record = EXAMPLES[probe]
    nothing = msgspec.structs.replace(
        record, outcome=Outcome.FAILED, failure=Failure.NO_ANSWER, values=None, detail="nothing came"
    )
    shown = printed(record, nothing)
    assert not {"epoch", "seq"} & set(shown["measurements"][0])
    jsonschema.validate(shown, schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize("spoil", [
    lambda shown: shown.update(verdict="maybe"),
    lambda shown: shown.pop("peer"),
    lambda shown: shown["measurements"][0].pop("outcome"),
    lambda shown: shown["measurements"][0].update(probe="flour"),
    lambda shown: shown["measurements"][0]["values"].update(loss_ratio=1.5),
    lambda shown: shown["measurements"][0].update(session="not a session\n"),
])  # fmt: skip
def test_the_schema_refuses_another_document(spoil: Callable[[dict[str, Any]], object]) -> None:
    shown = printed(EXAMPLES["floor"])
    spoil(shown)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(shown, document.schema(), jsonschema.Draft202012Validator)
