"""Some of the outages of ``make bench-outages``, and its judgement of the agent's records."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from lab.bench import outages as bench_outages
from lab.bench.outages import OUTAGES, ObservedOutage
from lab.testbed.outage_testbed import OutageTestbed
from tests.servers import require
from wire.records import Cause, ClockReading, ReachabilityValues

SLICE = ("cable pulled", "access line cut", "peer not reachable", "broker killed", "machine rebooted")
INTERVAL_S = 1.0


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageTestbed]:
    require("mosquitto")
    with OutageTestbed(tmp_path_factory.mktemp("outages"), INTERVAL_S) as running:
        yield running


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("what", SLICE)
def test_the_agent_records_cause_begin_and_end_of_an_outage(
    what: str, request: pytest.FixtureRequest
) -> None:
    [outage] = [one for one in OUTAGES if one.what == what]
    found = bench_outages.measure(request.getfixturevalue("testbed"), outage)
    assert found.right, found


def reading(boot_us: int) -> ClockReading:
    return ClockReading(wall_us=boot_us, boot_us=boot_us, boot_id="boot", synchronised=True)


def observed(cause: Cause, begin_s: float, end_s: float | None, error_s: float = 2.0) -> ObservedOutage:
    """Return an observed outage of a cable that was out from the 100th to the 110th second."""
    values = ReachabilityValues(
        outage="one",
        cause=cause,
        begin=reading(round(begin_s * 1e6)),
        begin_error_us=round(error_s * 1e6),
        end=None if end_s is None else reading(round(end_s * 1e6)),
        end_error_us=None if end_s is None else round(error_s * 1e6),
    )
    return ObservedOutage(
        OUTAGES[0], INTERVAL_S, (99_900_000, 100_000_000), (109_900_000, 110_000_000), (values,)
    )


@pytest.mark.parametrize(
    ("one", "right"),
    [
        (observed(Cause.SITE, 101.0, 111.9), True),
        (observed(Cause.SITE, 99.95, 109.0), True),
        (observed(Cause.ACCESS, 101.0, 111.0), False),
        (observed(Cause.SITE, 102.1, 111.0), False),
        (observed(Cause.SITE, 101.0, 112.1), False),
        (observed(Cause.SITE, 101.0, None), False),
        (observed(Cause.SITE, 101.0, 111.0, error_s=0.5), False),
    ],
)
def test_cause_and_times_must_be_right(one: ObservedOutage, right: bool) -> None:
    assert one.right is right


def test_an_outage_recorded_twice_is_wrong() -> None:
    one = observed(Cause.SITE, 101.0, 111.0)
    other = tuple(replace(values, outage="two") for values in one.records)
    assert not ObservedOutage(one.outage, one.interval_s, one.began, one.ended, (*other, *one.records)).right
