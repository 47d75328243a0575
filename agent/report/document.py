"""Document that ``measure --json`` prints, and its JSON Schema, generated from the records' structs.

``docs/measure.schema.json`` is the published copy of the schema; ``make schema`` writes it.
"""

import functools
import json
import operator
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from agent.probes import PROBES
from agent.report.measurement import Tone
from wire.records import Measurement, SiteId

# They identify records of a journal, and a measurement by hand has none.
_IDENTITY = ("epoch", "seq")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class MeasureDocument(Struct, frozen=True):
    """Result of one call of ``measure``. A later version may add fields and words, and removes none.

    ``peer`` is the address or name that was measured against. ``verdict`` is that of all measurements
    together; it decides the exit code. Times are integer microseconds, rates bit/s at the IP layer, ratios
    0 to 1. A value that could not be measured is absent.
    """

    site: SiteId
    peer: str
    verdict: Tone
    measurements: list[dict[str, Any]]

    @classmethod
    def of(cls, site: str, peer: str, verdict: Tone, records: Iterable[Measurement]) -> "MeasureDocument":
        """Document of these records, without their identities."""
        found: list[dict[str, Any]] = [msgspec.to_builtins(record) for record in records]
        for fields in found:
            _without_identity(fields)
        return cls(site, peer, verdict, found)


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the document."""
    # Made at run time: a probe is declared once, in PROBES.
    kinds: Any = functools.reduce(operator.or_, (probe.record for probe in PROBES.values()))
    template = "#/$defs/{name}"
    (document, item), definitions = msgspec.json.schema_components(
        [MeasureDocument, kinds], ref_template=template
    )
    for probe in PROBES.values():
        record = definitions[probe.record.__name__]
        _without_identity(record["properties"])
        record["required"] = [name for name in record["required"] if name not in _IDENTITY]
    definitions["MeasureDocument"]["properties"]["measurements"]["items"] = item
    return {"$schema": _DIALECT, **document, "$defs": _portable(definitions)}


def schema_text() -> str:
    """Content of ``docs/measure.schema.json``."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _portable(part: Any) -> Any:
    """Rewrite what not every validator reads, and what not every Python writes alike."""
    if isinstance(part, list):
        return [_portable(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {name: _portable(one) for name, one in part.items()}
    if isinstance(pattern := found.get("pattern"), str):
        # ECMA-262, whose patterns JSON Schema has, knows neither \A nor \Z.
        found["pattern"] = pattern.replace(r"\A", "^").replace(r"\Z", "$")
    if isinstance(description := found.get("description"), str):
        # Python 3.13 removes the indentation of docstrings.
        found["description"] = " ".join(description.replace("``", "`").split())
    return found


def _without_identity(fields: dict[str, Any]) -> None:
    for name in _IDENTITY:
        del fields[name]
