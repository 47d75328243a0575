"""Values of each probe, in typed columns and back."""

import zlib
from pathlib import Path

import msgspec
import pytest

from collector.ingest.decode import judge
from collector.ledger.read import latest as reading
from collector.ledger.schema.values import value_rows
from collector.ledger.write.writer import Ledger
from collector.model.observation import Observation
from tests.collector.examples import (
    NOW_US,
    arrival,
    capacity,
    dns,
    floor,
    floor_values,
    interface,
    path,
    path_values,
    samples,
    stamp,
    stamp_values,
    under_load,
)
from tests.collector.ledger.filled import query
from wire.records import (
    Bound,
    Failure,
    FloorValues,
    HostLoad,
    Layer,
    LoadSample,
    Measurement,
    Purpose,
    Standing,
    Values,
    Verdict,
)


def condemned() -> FloorValues:
    """A fail with everything that a floor verdict can tell."""
    base = floor_values(Verdict.FAIL, 6.4e6, 6.5e6)
    test = msgspec.structs.replace(
        base.tests[0],
        failure=Failure.SENDER_STALLED,
        predrain_bytes=2_500_000,
        ended_early=True,
        series=samples(),
    )
    return msgspec.structs.replace(
        base,
        tests=(test, base.tests[0]),
        layer=Layer.ETHERNET,
        contract_bps=8.1e6,
        standing=Standing.CONDEMNED,
        evidence=4.6,
        search_bps=6.6e6,
        quiet=True,
        under_load=under_load(),
    )


def passive() -> FloorValues:
    base = floor_values(Verdict.PASS, 9e6)
    return msgspec.structs.replace(base, tests=(), passive_us=2_500_000, standing=Standing.CLEAR)


REMARKED = msgspec.structs.replace(stamp_values(), forward_dscp=0, requested_dscp=46, reply_refused=True)
RECORDS: dict[str, Measurement] = {
    "floor": floor(1, values=condemned(), host=HostLoad(busy_ratio=0.25, load_1min=1.5)),
    "passive": floor(1, values=passive(), purpose=Purpose.PASSIVE, session=None),
    "unloaded": floor(1, values=msgspec.structs.replace(condemned(), under_load=under_load(None))),
    "stamp": stamp(1, values=REMARKED),
    "capacity": capacity(1),
    "bounded": capacity(1, values=msgspec.structs.replace(capacity().values, bound=Bound.PEER)),
    "interface": interface(1, host=HostLoad(busy_ratio=0.5)),
    "path": path(1),
    "no hops": path(1, values=msgspec.structs.replace(path_values(), hops=(), reached=False)),
    "dns": dns(1),
    "dns failed": dns(1, outcome="failed", failure=Failure.WRONG_ANSWER),
    "skipped": capacity(1, outcome="skipped", failure=Failure.BUDGET_SPENT, values=None),
}


def keep(file: Path, record: Measurement) -> Observation:
    ledger = Ledger(file)
    (committed,) = ledger.commit([judge(arrival(record))]).messages
    ledger.close()
    (seen,) = committed.observations
    return seen


@pytest.mark.parametrize("name", RECORDS)
def test_live_state_reads_back_what_it_was_told(tmp_path: Path, name: str) -> None:
    file = tmp_path / "ledger.db"
    seen = keep(file, RECORDS[name])
    assert set(map(repr, reading.newest(file))) == {repr(seen)}


def test_a_fail_keeps_its_evidence(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    keep(file, RECORDS["floor"])
    columns = "layer.name, contract_bps, standing.name, evidence, search_bps, quiet, passive_us"
    named = "JOIN names layer ON layer.key = layer_key JOIN names standing ON standing.key = standing_key"
    assert query(file, f"SELECT {columns} FROM floor_values {named}") == [
        ("ethernet", 8.1e6, "condemned", 4.6, 6.6e6, 1, None)
    ]
    tests = "SELECT ordinal, f.name, predrain_bytes, ended_early FROM floor_tests "
    assert query(file, f"{tests} LEFT JOIN names f ON f.key = failure_key") == [
        (0, "sender-stalled", 2_500_000, 1),
        (1, None, 0, 0),
    ]
    ((ordinal, packed),) = query(file, "SELECT ordinal, zlib FROM floor_series")
    kept = msgspec.json.decode(zlib.decompress(packed), type=tuple[LoadSample, ...])
    assert (ordinal, kept) == (0, samples())
    loaded = ", ".join(
        f"under_load_{name}" for name in ("load_bps", "idle_p50_us", "loaded_p99_us", "loss_ratio")
    )
    assert query(file, f"SELECT {loaded} FROM floor_values") == [(8e6, 10_400, 88_000, 0.05)]
    assert query(file, "SELECT host_busy_ratio, host_load_1min FROM measurements") == [(0.25, 1.5)]


def test_a_search_keeps_its_intervals(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    keep(file, RECORDS["capacity"])
    statement = "SELECT ordinal, offset_us, received_bps FROM capacity_intervals"
    assert query(file, statement) == [(0, 0, 19.8e6), (1, 1_000_000, 19.8e6)]


def test_a_path_keeps_every_hop(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    seen = keep(file, RECORDS["path"])
    assert query(file, "SELECT ttl, answered, address, also, rtt_us, dscp FROM path_hops") == [
        (1, 3, "10.0.1.1", None, 900, None),
        (2, 0, None, None, None, None),
        (3, 3, "10.0.3.1", '["10.0.3.2"]', 2700, 0),
        (4, 3, "10.0.4.1", None, 3600, None),
    ]
    assert [hop.ttl for hop in seen.values.hops] == [2, 3, 4]  # type: ignore[union-attr]


def test_two_routers_at_one_distance_are_both_kept(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    hops = path_values().hops[:1] * 2
    keep(file, path(1, NOW_US, msgspec.structs.replace(path_values(), hops=hops)))
    assert query(file, "SELECT ordinal, ttl FROM path_hops") == [(0, 1), (1, 1)]


class _NewValues(Values, frozen=True):
    answer_us: int


class _NewMeasurement(Measurement, frozen=True, kw_only=True, tag="name"):
    values: _NewValues | None = None


def test_values_that_have_no_table_yet_are_kept_as_they_came() -> None:
    record = stamp(1)
    common = {name: getattr(record, name) for name in Measurement.__struct_fields__ if name != "values"}
    told = _NewMeasurement(**common, values=_NewValues(7))
    kept = value_rows(1, told, b"raw", lambda word: 1)
    assert kept == {"unknown_values": [{"measurement_key": 1, "json": b"raw", "known_now": False}]}
    assert value_rows(1, _NewMeasurement(**common), b"raw", lambda word: 1) == {}
