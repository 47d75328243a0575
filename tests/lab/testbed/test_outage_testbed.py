"""Outages made in real namespaces, and what the agent tells of them; all are in ``make bench-outages``."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from lab.bench import outages as bench_outages
from lab.bench.outages import OUTAGES, Told
from lab.testbed.outage_testbed import OutageStand
from tests.servers import require
from wire.records import Cause, ClockReading, ReachabilityValues

SLICE = ("cable pulled", "access line cut", "peer not reachable", "broker killed", "machine begun anew")
INTERVAL_S = 1.0


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageStand]:
    require("mosquitto")
    with OutageStand(tmp_path_factory.mktemp("outages"), INTERVAL_S) as standing:
        yield standing


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("what", SLICE)
def test_the_agent_tells_what_is_out_and_since_when(what: str, request: pytest.FixtureRequest) -> None:
    [outage] = [one for one in OUTAGES if one.what == what]
    told = bench_outages.measure(request.getfixturevalue("stand"), outage)
    assert told.right, told


def reading(boot_us: int) -> ClockReading:
    return ClockReading(wall_us=boot_us, boot_us=boot_us, boot_id="boot", synchronised=True)


def told(cause: Cause, begin_s: float, end_s: float | None, error_s: float = 2.0) -> Told:
    """Of a cable that was out from the 100th to the 110th second."""
    values = ReachabilityValues(
        outage="one",
        cause=cause,
        begin=reading(round(begin_s * 1e6)),
        begin_error_us=round(error_s * 1e6),
        end=None if end_s is None else reading(round(end_s * 1e6)),
        end_error_us=None if end_s is None else round(error_s * 1e6),
    )
    return Told(OUTAGES[0], INTERVAL_S, (99_900_000, 100_000_000), (109_900_000, 110_000_000), (values,))


@pytest.mark.parametrize(
    ("one", "right"),
    [
        (told(Cause.SITE, 101.0, 111.9), True),
        (told(Cause.SITE, 99.95, 109.0), True),
        (told(Cause.ACCESS, 101.0, 111.0), False),
        (told(Cause.SITE, 102.1, 111.0), False),
        (told(Cause.SITE, 101.0, 112.1), False),
        (told(Cause.SITE, 101.0, None), False),
        (told(Cause.SITE, 101.0, 111.0, error_s=0.5), False),
    ],
)
def test_only_what_is_told_rightly_and_in_time_counts(one: Told, right: bool) -> None:
    assert one.right is right


def test_an_outage_told_twice_is_wrong() -> None:
    one = told(Cause.SITE, 101.0, 111.0)
    other = tuple(replace(values, outage="two") for values in one.records)
    assert not Told(one.outage, one.interval_s, one.began, one.ended, (*other, *one.records)).right
