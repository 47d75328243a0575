"""A kind of measurement is declared once in each package, and the declarations agree."""

from typing import get_type_hints

from agent.probes import PROBES, WITHOUT_PROBE
from collector.kinds import EVENTS, KINDS
from wire.records import KNOWN, name_of


def test_each_known_record_has_a_kind_at_the_collector_and_a_source_at_the_agent() -> None:
    measured = [probe.record for probe in PROBES.values()]
    assert [kind.record for kind in KINDS] == list(KNOWN)
    assert {*measured, *WITHOUT_PROBE} == set(KNOWN)
    assert len(measured) + len(WITHOUT_PROBE) == len(KNOWN)


def test_each_record_has_a_name_and_values_of_its_own() -> None:
    assert len({name_of(record) for record in KNOWN}) == len(KNOWN)
    assert len({get_type_hints(record)["values"] for record in KNOWN}) == len(KNOWN)
    assert {name for name, probe in PROBES.items() if name_of(probe.record) != name} == set()


def test_a_kind_without_a_probe_is_an_event() -> None:
    assert {name_of(record) for record in WITHOUT_PROBE} <= EVENTS
