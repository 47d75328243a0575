"""Every kind that may come is declared once, and everything else follows from that."""

from collections import Counter
from typing import get_type_hints

import pytest
from msgspec import Struct

from collector.kinds import BY_PROBE, KINDS
from collector.kinds.kind import MeasurementKind
from collector.ledger.schema.layout import Layout, metadata
from collector.ledger.schema.values import VALUES
from collector.metrics.families import FAMILIES
from wire.records import BY_NAME, KNOWN


def test_each_known_record_is_one_kind_with_its_own_values_and_tables() -> None:
    """A record without a kind would be gone from live state at a restart."""
    assert {kind.record for kind in KINDS} == set(KNOWN)
    assert set(BY_PROBE) == set(BY_NAME) == set(VALUES)
    assert len(KINDS) == len(KNOWN)
    for kind in KINDS:
        assert get_type_hints(kind.record)["values"] == kind.values | None
        assert f"{kind.name}_values" in metadata.tables


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_what_a_kind_names_of_its_values_is_there(kind: MeasurementKind) -> None:
    fields = set(kind.values.__struct_fields__)
    assert {condition.field for conditions in kind.landmarks for condition in conditions} <= fields
    assert set(kind.left_out) <= set(Layout(kind.values).parts)


def test_no_two_kinds_say_different_things_in_one_name() -> None:
    words = Counter(word for kind in KINDS for word in kind.sentences)
    families = Counter(family.name for family in FAMILIES)
    assert [name for name, count in (words + families).items() if count > 1] == []


class _Odd(Struct):
    either: int | str


def test_a_field_that_no_column_can_hold_cannot_be_declared() -> None:
    with pytest.raises(TypeError, match=r"_Odd\.either"):
        Layout(_Odd)
