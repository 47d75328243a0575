"""Some of the outages of ``make bench-outages``, and its judgement of the agent's records."""

import signal
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from lab.bench import outages as bench_outages
from lab.bench.outages import OUTAGES, ObservedOutage
from lab.testbed.outage_testbed import OutageTestbed
from tests.servers import require
from wire.records import Cause, ClockReading, ReachabilityValues

SLICE = (
    "cable pulled",
    "access line cut",
    "line cut, box accepts",
    "line cut, box resets",
    "peer not reachable",
    "broker killed",
    "machine rebooted",
)
INTERVAL_S = 1.0
WITHIN_S = 60.0


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


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutageTestbed]:
    require("mosquitto")
    with OutageTestbed(tmp_path_factory.mktemp("named"), INTERVAL_S, named=True) as running:
        yield running


def causes(testbed: OutageTestbed, before: int) -> list[tuple[Cause, bool]]:
    """Return cause, and true for an end, of each record since ``before``, but of the agent itself."""
    records = testbed.recorded()[before:]
    return [(one.cause, one.end is not None) for one in records if one.cause is not Cause.AGENT]


def is_measuring(testbed: OutageTestbed, finding: str) -> bool:
    """Check if the broker is connected and the finding shown."""
    status = testbed.status()
    findings = () if status is None else status.findings
    connected = status is not None and status.broker_problem is None and status.last_receipt is not None
    return connected and any(one.startswith(finding) for one in findings)


@pytest.mark.usefixtures("kernel")
def test_a_family_that_never_worked_is_a_finding_and_no_outage(named: OutageTestbed) -> None:
    """Case B01a: the name has both families, and IPv6 is a black hole from the agent's start on."""
    named.wait_until_well()
    before = len(named.recorded())
    named.end("agent", signal.SIGTERM)
    named.forget_addresses()
    named.cut_ipv6()
    named.start("agent")
    assert named.wait(lambda: is_measuring(named, "peer: fd91::"), WITHIN_S), named.status()
    assert named.wait(lambda: is_measuring(named, "broker: fd91::"), WITHIN_S), named.status()
    assert causes(named, before) == []
    named.mend(0)
    named.wait_until_well()


@pytest.mark.usefixtures("kernel")
def test_a_resolver_that_is_dead_at_the_start_is_the_only_outage(named: OutageTestbed) -> None:
    """Case B02a: known addresses go on being used over a restart of the agent."""
    named.wait_until_well()
    before = len(named.recorded())
    named.end("agent", signal.SIGTERM)
    named.resolve_nothing()
    named.start("agent")
    assert named.wait(lambda: causes(named, before) == [(Cause.DNS, False)], WITHIN_S), causes(named, before)
    assert named.wait(lambda: is_measuring(named, "dns: far.plancher.test does not resolve"), WITHIN_S)
    [begun] = [one for one in named.recorded()[before:] if one.cause is Cause.DNS]
    assert (begun.gateway, begun.peer, begun.broker) == (True, True, True)
    named.resolve_rightly()
    assert named.wait(lambda: causes(named, before)[1:] == [(Cause.DNS, True)], WITHIN_S)


@pytest.mark.usefixtures("kernel")
def test_without_any_known_address_nobody_is_blamed_but_the_resolver(named: OutageTestbed) -> None:
    named.wait_until_well()
    before = len(named.recorded())
    named.end("agent", signal.SIGTERM)
    named.forget_addresses()
    named.resolve_nothing()
    named.start("agent")
    assert named.wait(lambda: causes(named, before) == [(Cause.DNS, False)], WITHIN_S), causes(named, before)
    [begun] = [one for one in named.recorded()[before:] if one.cause is Cause.DNS]
    assert set(begun.unasked) == {"peer", "broker"}
    assert (begun.gateway, begun.first_hop, begun.peer, begun.broker) == (True, True, None, None)
    named.resolve_rightly()
    assert named.wait(lambda: causes(named, before)[1:] == [(Cause.DNS, True)], WITHIN_S)


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


@pytest.mark.parametrize(("one", "right"), [
    (observed(Cause.SITE, 101.0, 111.9), True),
    (observed(Cause.SITE, 99.95, 109.0), True),
    (observed(Cause.ACCESS, 101.0, 111.0), False),
    (observed(Cause.SITE, 102.1, 111.0), False),
    (observed(Cause.SITE, 101.0, 112.1), False),
    (observed(Cause.SITE, 101.0, None), False),
    (observed(Cause.SITE, 101.0, 111.0, error_s=0.5), False),
])  # fmt: skip
def test_cause_and_times_must_be_right(one: ObservedOutage, right: bool) -> None:
    assert one.right is right


def test_an_outage_recorded_twice_is_wrong() -> None:
    one = observed(Cause.SITE, 101.0, 111.0)
    other = tuple(replace(values, outage="two") for values in one.records)
    assert not ObservedOutage(one.outage, one.interval_s, one.began, one.ended, (*other, *one.records)).right
