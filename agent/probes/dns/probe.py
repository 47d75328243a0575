"""The DNS probe: names that the site lives by, asked of its resolvers as its programs ask them."""

import asyncio
import ipaddress
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from agent.probes.dns import exchange, resolv_conf, rules
from agent.probes.dns.exchange import DnsServer, SpentBytes
from agent.probes.dns.rules import AskedQuestion, IpNetwork, ResolverReply
from agent.probes.dns.settings import AT_ONCE, DnsSettings, canonical, expected_names, longest_run_s
from agent.task.task import ProbeContext, Progress, Reading, Task
from host.units import counted
from net.addresses.preference import is_address
from wire.records import (
    AddressRecord,
    DnsAnswer,
    DnsMeasurement,
    DnsResolver,
    DnsValues,
    Failure,
    Measurement,
    Outcome,
)

RESOLV_CONF, HOSTS = Path("/etc/resolv.conf"), Path("/etc/hosts")
_SLACK_S = 10.0  # for a busy machine, before the runner calls it stuck
_NO_RESOLVER = f"no resolver: dns.resolvers is empty, and {RESOLV_CONF} has no nameserver"


class DnsProbe:
    """Asks for A and AAAA of each name, one resolver after the other, as the C library does."""

    record: type[Measurement] = DnsMeasurement
    alone = False

    def __init__(self, context: ProbeContext) -> None:
        settings = context.settings
        self._dns = settings.section(DnsSettings)
        self._interval_s = settings.every_s("dns")
        known = resolv_conf.hosts(_text(HOSTS))
        hosts = (canonical(settings.peer.host), canonical(settings.broker.host))
        self._names: dict[str, tuple[IpNetwork, ...]] = {
            host: () for host in hosts if host not in known and _is_asked_of_resolvers(host)
        }
        for one in expected_names(self._dns):  # in any case, and with what is expected
            self._names[canonical(one.name)] = tuple(ipaddress.ip_network(text) for text in one.expect)
        self._settings = _settings_of(settings.peer.host, settings.broker.host, self._names)
        addresses = (context.peer_addresses, context.broker_addresses)
        self._hosts = [one for one in addresses if one is not None]
        self.deadline_s = longest_run_s(len(self._names), self._dns.timeout) + _SLACK_S

    def tasks(self) -> Sequence[Task]:
        """One, unless the settings have no name or no interval."""
        return [] if self._interval_s is None or not self._names else [Task("dns", self._interval_s)]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Resolve all names once."""
        # Read at each run, because the machine may have moved; not here, because a disk may hang.
        servers = await asyncio.to_thread(self._servers)
        if not servers:
            return Reading(Outcome.FAILED, failure=Failure.CONFIGURATION, detail=_NO_RESOLVER)
        resolvers = ", ".join(server.address for server in servers)
        progress(f"{counted(len(self._names), 'name')}, A and AAAA, resolved by {resolvers}")
        run = _Resolution(servers, {canonical(host.host): host.dead for host in self._hosts})
        values = await run.resolve(self._names, round(self._dns.timeout * 1e6))
        outcome, failure = rules.outcome(values)
        return Reading(
            outcome,
            values,
            failure,
            rules.detail(values, self._settings),
            bytes_sent=run.spent.sent,
            bytes_received=run.spent.received,
        )

    def _servers(self) -> list[DnsServer]:
        addresses = self._dns.resolvers or resolv_conf.nameservers(_text(RESOLV_CONF))
        return [DnsServer(each, self._dns.port, float(self._dns.timeout)) for each in addresses]


def _settings_of(peer: str, broker: str, names: Collection[str]) -> dict[str, str]:
    """Settings that ask for each name: a person has to know whose name it is."""
    hosts = (("peer.host", canonical(peer)), ("broker.host", canonical(broker)))
    found = {name: [setting for setting, host in hosts if host == name] for name in names}
    return {name: " and ".join(settings) or "dns.names" for name, settings in found.items()}


def _is_asked_of_resolvers(host: str) -> bool:
    """True for a name with a dot. One without is found by a search list, or is this machine."""
    return "." in host and not is_address(host)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


class _Resolution:
    """One run: the questions to each resolver, and what they cost."""

    def __init__(self, servers: Sequence[DnsServer], dead: Mapping[str, Collection[str]]) -> None:
        self._dead = dead
        self.spent = SpentBytes()
        self._servers = servers
        self._asked = dict.fromkeys(servers, 0)
        self._answered = dict.fromkeys(servers, 0)
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def resolve(self, names: dict[str, tuple[IpNetwork, ...]], timeout_us: int) -> DnsValues:
        """Values of all names."""
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(self._name(name, ranges)) for name, ranges in names.items()]
        return DnsValues(
            answers=tuple(answer for each in running for answer in each.result()),
            resolvers=tuple(
                DnsResolver(address=each.address, asked=self._asked[each], answered=self._answered[each])
                for each in self._servers
            ),
            timeout_us=timeout_us,
        )

    async def _name(self, name: str, expected: tuple[IpNetwork, ...]) -> list[DnsAnswer]:
        async with self._at_once:
            questions = [self._question(name, record) for record in AddressRecord]
            asked = await asyncio.gather(*questions)
            return list(rules.answers(name, asked, expected, self._dead.get(name, ())))

    async def _question(self, name: str, record: AddressRecord) -> AskedQuestion:
        """Ask one resolver after the other until one knows the answer."""
        reply: ResolverReply | None = None
        sent = False
        for server in self._servers:
            try:
                found = await exchange.ask(server, name, record, self.spent)
            except OSError:
                continue  # no route to this one: it was not asked
            sent = True
            self._asked[server] += 1
            if found is None:
                continue
            self._answered[server] += 1
            reply = found
            if found.rcode in rules.FINAL:
                break
        return AskedQuestion(record, reply, sent)
