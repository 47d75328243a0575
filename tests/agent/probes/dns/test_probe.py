"""The probe against emulated resolvers on loopback."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.configuration import SETTINGS
from agent.line.counters import NoSource
from agent.probes.dns import PROBE
from agent.probes.dns import probe as probe_module
from agent.probes.dns.settings import DnsSettings, ExpectedName
from agent.schedule.runner import Runner
from agent.settings.sections import PeerAccessSettings
from agent.task.task import ProbeContext, Reading, Task
from host.units import Seconds
from lab.testbed.resolver import SLOW_S, EmulatedResolver, ResolverBehaviour, resolving
from net.mqtt import Broker
from tests.agent.fakes import FakeClock
from tests.processes import free_port
from wire.records import AddressRecord, DnsResolver, DnsValues, Failure, Outcome, Purpose

PORTAL, BOTH = "portal.example.fr", "both.example.fr"
NAMES = {PORTAL: ("192.0.2.10",), BOTH: ("192.0.2.11", "2001:db8::11", "2001:db8::12")}
TIMEOUT_S = 1
FIRST, SECOND = "127.0.0.1", "127.0.0.2"


class Site:
    """Two resolvers at one port, and the probe that asks them."""

    def __init__(self, first: EmulatedResolver, second: EmulatedResolver, port: int) -> None:
        self.first = first
        self.second = second
        self._port = port

    def settings(
        self, *names: str | ExpectedName, resolvers: tuple[str, ...] = (FIRST, SECOND)
    ) -> DnsSettings:
        return DnsSettings(names, resolvers, self._port, Seconds(TIMEOUT_S))


@pytest.fixture
def site() -> Iterator[Site]:
    port = free_port()
    with ExitStack() as stack:
        made = [stack.enter_context(resolving(NAMES, port, host)) for host in (FIRST, SECOND)]
        yield Site(made[0], made[1], port)


def context(chosen: DnsSettings, peer: str = "127.0.0.1", broker: str = "127.0.0.1") -> ProbeContext:
    peer_settings = PeerAccessSettings(host=peer, key="k")
    settings = SETTINGS(site="A", peer=peer_settings, broker=Broker(host=broker), dns=chosen)
    return ProbeContext(settings, b"k", NoSource(), FakeClock().read)


def run(chosen: DnsSettings, **hosts: str) -> tuple[Reading, DnsValues]:
    probe = PROBE.build(context(chosen, **hosts))
    (task,) = probe.tasks()
    reading = asyncio.run(probe.run(task, lambda _: None))
    assert isinstance(reading.values, DnsValues)
    return reading, reading.values


def test_each_name_is_asked_for_in_both_record_types(site: Site) -> None:
    reading, values = run(site.settings(PORTAL, BOTH))
    assert (reading.outcome, reading.failure, reading.detail) == (Outcome.OK, None, "")
    found = [(one.name, one.record, one.addresses, one.rcode, one.resolver) for one in values.answers]
    assert found == [
        (PORTAL, AddressRecord.A, 1, 0, FIRST),
        (PORTAL, AddressRecord.AAAA, 0, 0, FIRST),
        (BOTH, AddressRecord.A, 1, 0, FIRST),
        (BOTH, AddressRecord.AAAA, 2, 0, FIRST),
    ]
    assert all(one.answer_us is not None and 0 < one.answer_us < TIMEOUT_S * 1e6 for one in values.answers)
    assert values.resolvers == (
        DnsResolver(address=FIRST, asked=4, answered=4),
        DnsResolver(address=SECOND, asked=0, answered=0),
    )
    assert Counter(transport for _, _, transport in site.first.asked) == {"udp": 4}


def test_bytes_are_those_of_ip_packets(site: Site) -> None:
    reading, _ = run(site.settings(PORTAL))
    question = 28 + 12 + len(PORTAL) + 2 + 4
    assert reading.bytes_sent == 2 * question
    assert reading.bytes_received == 2 * question + 16  # one address, its name compressed


def test_a_dead_first_resolver_shows_although_the_second_answers(site: Site) -> None:
    site.first.behaviour = ResolverBehaviour.DEAD
    reading, values = run(site.settings(PORTAL))
    assert (reading.outcome, reading.detail) == (
        Outcome.OK,
        f"resolver {FIRST} answers nothing within {TIMEOUT_S} s",
    )
    assert [(one.asked, one.answered) for one in values.resolvers] == [(2, 0), (2, 2)]
    assert {one.resolver for one in values.answers} == {SECOND}


@pytest.mark.parametrize(("behaviour", "failure", "rcode"), [
    (ResolverBehaviour.DEAD, Failure.NO_ANSWER, None),
    (ResolverBehaviour.SLOW, Failure.NO_ANSWER, None),
    (ResolverBehaviour.CUTTING, Failure.NO_ANSWER, None),
    (ResolverBehaviour.SERVFAIL, Failure.SERVFAIL, 2),
    (ResolverBehaviour.NOTIMP, Failure.SERVFAIL, 4),
    (ResolverBehaviour.REFUSED, Failure.REFUSED, 5),
    (ResolverBehaviour.LYING, Failure.WRONG_ANSWER, 0),
])  # fmt: skip
def test_a_bad_resolver_fails_the_run_by_its_fault_and_leaves_values(
    site: Site, behaviour: ResolverBehaviour, failure: Failure, rcode: int | None
) -> None:
    site.first.behaviour = site.second.behaviour = behaviour
    expected = ExpectedName(PORTAL, ("192.0.2.0/24", "2001:db8:1::/48"))
    reading, values = run(site.settings(expected))
    assert (reading.outcome, reading.failure) == (Outcome.FAILED, failure)
    assert [(one.failure, one.rcode) for one in values.answers] == [(failure, rcode)] * 2
    assert reading.detail
    if failure not in (Failure.NO_ANSWER, Failure.WRONG_ANSWER):
        assert reading.detail.startswith(f"{PORTAL} (dns.names): ")


def test_after_a_failure_the_next_resolver_is_asked_and_a_name_that_does_not_exist_is_final(
    site: Site,
) -> None:
    site.first.behaviour = ResolverBehaviour.SERVFAIL
    _, values = run(site.settings(PORTAL))
    assert [(one.asked, one.answered) for one in values.resolvers] == [(2, 2), (2, 2)]
    site.first.behaviour = ResolverBehaviour.RIGHT
    reading, values = run(site.settings("absent.example.fr"))
    assert reading.failure is Failure.NAME_UNKNOWN
    assert [(one.rcode, one.resolver) for one in values.answers] == [(3, FIRST)] * 2
    assert [one.asked for one in values.resolvers] == [2, 0]


def test_a_slow_resolver_is_measured_where_the_time_out_allows_it(site: Site) -> None:
    site.first.behaviour = ResolverBehaviour.SLOW
    chosen = DnsSettings((PORTAL,), (FIRST,), site.settings().port, Seconds(5))
    reading, values = run(chosen)
    assert reading.outcome is Outcome.OK
    assert all(one.answer_us is not None and one.answer_us >= SLOW_S * 1e6 for one in values.answers)


def test_a_truncated_answer_is_fetched_over_tcp(site: Site) -> None:
    site.first.behaviour = ResolverBehaviour.TRUNCATING
    reading, values = run(site.settings(BOTH))
    assert [(one.addresses, one.over_tcp) for one in values.answers] == [(1, True), (2, True)]
    assert Counter(transport for _, _, transport in site.first.asked) == {"udp": 2, "tcp": 2}
    assert reading.bytes_sent > 2 * 5 * 52


def test_a_resolver_without_a_route_is_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unsent(*_: object, **__: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("dns.asyncquery.udp", unsent)
    reading, values = run(site.settings(PORTAL))
    assert (reading.failure, reading.bytes_sent) == (Failure.UNREACHABLE, 0)
    assert [one.asked for one in values.resolvers] == [0, 0]


def test_names_of_peer_and_broker_are_asked_for_unless_this_machine_knows_them(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.7 peer.example.fr\n")
    monkeypatch.setattr(probe_module, "HOSTS", hosts)
    _, values = run(site.settings(), peer="peer.example.fr", broker="Portal.Example.fr.")
    assert list(values.by_name()) == [PORTAL]
    for host in ("localhost", "::1", "192.0.2.7", "pop-1"):
        assert not PROBE.build(context(site.settings(), peer=host)).tasks(), host


def test_the_machines_resolvers_are_asked_where_the_settings_name_none(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "resolv.conf"
    monkeypatch.setattr(probe_module, "RESOLV_CONF", file)
    probe = PROBE.build(context(site.settings(PORTAL, resolvers=())))
    (task,) = probe.tasks()
    lacking = asyncio.run(probe.run(task, lambda _: None))
    assert (lacking.failure, lacking.values) == (Failure.CONFIGURATION, None)
    file.write_text(f"nameserver {SECOND}\n")  # it is read again: the machine got its lease meanwhile
    found = asyncio.run(probe.run(task, lambda _: None))
    assert isinstance(found.values, DnsValues)
    assert found.values.resolvers == (DnsResolver(address=SECOND, asked=2, answered=2),)


def test_the_longest_run_ends_before_its_deadline_and_blocks_nobody(site: Site) -> None:
    site.first.behaviour = site.second.behaviour = ResolverBehaviour.DEAD
    chosen = site.settings(*(f"{number}.example.fr" for number in range(8)))
    probe = PROBE.build(context(chosen))
    (task,) = probe.tasks()

    async def watched(task: Task) -> tuple[float, float]:
        longest = 0.0

        async def tick() -> None:
            nonlocal longest
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - began)

        ticking = asyncio.create_task(tick())
        runner = Runner("peer", FakeClock().read)
        began = time.monotonic()
        made = await runner.run(probe, task, Purpose.ON_DEMAND)
        ticking.cancel()
        assert made.reading.failure is Failure.NO_ANSWER
        return time.monotonic() - began, longest

    lasted, longest = asyncio.run(watched(task))
    assert lasted >= 2 * 2 * TIMEOUT_S  # two groups of names, two resolvers
    assert probe.deadline_s == pytest.approx(2 * 3 * TIMEOUT_S + 10)
    assert lasted < probe.deadline_s
    assert longest < 0.5 * lasted
