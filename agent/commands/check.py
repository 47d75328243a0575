"""``plancher-agent check``: tries everything the settings ask for, and reports faults and whose they are."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import msgspec

from agent import configuration
from agent.commands import machine
from agent.commands.machine import NetworkInterface
from agent.line.readings import CounterReading, LineCounterSource, Unavailable
from agent.load import udpstp_client
from agent.load.line_meter import PATIENCE_S
from agent.load.rules import validity
from agent.probes.path.probe import PathProbe
from agent.probes.path.settings import PathSettings
from agent.probes.reachability.probe import ReachabilityProbe
from agent.probes.reachability.rules.network_view import EgressKind
from agent.probes.stamp.probe import StampProbe
from agent.report import remedies
from agent.schedule.runner import Runner
from agent.service import wiring
from agent.settings.file import become_owner_of_files
from agent.settings.sections import AgentSettings
from agent.task.task import ProbeContext, Task
from agent.train.peer_address import peer_answers
from host import load, log
from host.clock import Clock
from host.exits import Exit, code_of
from host.finding import CheckFinding, exit_code, print_finding
from host.settings import SettingsError, belonging_to
from host.units import Seconds, megabits
from net.addresses.host import HostAddresses
from net.addresses.host_text import is_loopback
from net.addresses.preference import family_name
from net.broker_rules import unprotected
from net.mqtt import BrokerError, Publication, Session
from net.mqtt_errors import UNRETAINED
from outbox.journal import check as journal_check
from wire.messages import topics
from wire.messages.topics import Kind
from wire.records import Direction, Failure, LineCounters, Outcome, Purpose
from wire.stamp.timestamp import ErrorEstimate
from wire.udpstp import rates
from wire.udpstp.load import Ending

BROKER_WITHIN_S = 15.0
QUICK_S = 0.05
WATCHED_S = 1.0
PATH_WITHIN_S = 5.0
# A wait for the router's counters that is worth a remark.
REFRESH_NOTED_S = 15.0
LOOKUP_WITHIN_S = 12.0
# Low enough for any line, and 125 kB show in counters that others move, too.
PROBED_BPS = 1_000_000
PROBED_BYTES = PROBED_BPS // 8


def main(path: Path) -> int:
    """Print one line for each trial; exit 0 without a fault, else by whose it is (``host.finding``)."""
    log.start("error")
    try:
        chosen = configuration.load(path)
        with belonging_to(path):
            become_owner_of_files(chosen)
            context = wiring.probe_context(chosen, Clock().read)
    except SettingsError as error:
        return print_finding(CheckFinding("settings", str(error), code_of(error)))
    print_finding(CheckFinding("settings", f"{path}: site {chosen.site}"))
    return asyncio.run(_tell_all(context))


async def _tell_all(context: ProbeContext) -> Exit:
    return exit_code([print_finding(finding) async for finding in findings(context)])


async def findings(context: ProbeContext) -> AsyncIterator[CheckFinding]:
    """Findings of every trial, in order; those that need the peer are left out if it has no address."""
    chosen = context.settings
    yield clock(context)
    yield await other_programs()
    for finding in (*storage(chosen), runtime_directory(Path(chosen.runtime_directory))):
        yield finding
    found = machine.links()
    name = await peer_name(context)
    way_out = machine.outward(found, await context.peer_host() if name.ok else None)
    yield machine.interfaces(found, way_out)
    before = await context.line_counters.ask()
    yield advised(line_counters(context.line_counters, before), chosen, way_out)
    yield name
    if name.ok:
        yield await peer_stamp(context)
        if (families := await peer_families(context)) is not None:
            yield families
        if chosen.floor.down is not None or chosen.floor.up is not None:
            test = await peer_udpstp(context)
            yield test
            if test.ok and isinstance(before, CounterReading):
                yield advised(await counted(context, before), chosen, way_out)
        if chosen.every_s("reachability") is not None:
            yield await reachability(context)
        if chosen.every_s("path") is not None and chosen.stamp.classes:
            yield await path(context)
    yield await broker(chosen, context.broker_addresses)


def clock(context: ProbeContext) -> CheckFinding:
    """Try the wall clock. Unsynchronised, it spoils one-way delays only."""
    reading = context.clock()
    if reading.synchronised:
        return CheckFinding("clock", "synchronised")
    text = "not synchronised: let NTP through at the site; one-way delays are not measured until then"
    return CheckFinding("clock", text, note=True)


async def other_programs() -> CheckFinding:
    """Observe the other programs of this machine while this one does nothing."""
    loop, programs, busy = asyncio.get_running_loop(), machine.programs(), load.read()
    began = loop.time()
    await asyncio.sleep(WATCHED_S)
    most = machine.busiest(programs, machine.programs())
    return machine.load(load.between(busy, load.read()).busy_ratio, most, loop.time() - began)


def advised(finding: CheckFinding, chosen: AgentSettings, way_out: NetworkInterface | None) -> CheckFinding:
    """Finding about the line's counters, with the settings that would work, as far as they are known."""
    if finding.ok:
        return finding
    hint = machine.counters_hint(chosen.line_counters, way_out, is_router=machine.forwards())
    return replace(finding, text=finding.text + hint)


def storage(chosen: AgentSettings) -> list[CheckFinding]:
    """Try the journal, and the space for it where it can be written."""
    path = Path(chosen.journal.path)
    finding = journal(path)
    room = (
        [machine.space(journal_check.nearest(path.parent), path, int(chosen.journal.size))]
        if finding.ok
        else []
    )
    return [finding, *room]


def journal(path: Path) -> CheckFinding:
    """Try to access the journal as this user; a running agent may have it."""
    if problem := journal_check.problem(path, "journal.path"):
        return CheckFinding("journal", problem, Exit.CANNOT_CREATE)
    return CheckFinding("journal", journal_check.words(path, "agent"))


def runtime_directory(path: Path) -> CheckFinding:
    """Try if this user may write the status file."""
    place = journal_check.nearest(path)
    if os.access(place, os.W_OK | os.X_OK):
        return CheckFinding("runtime directory", str(path))
    text = f"{place} cannot be written: give runtime_directory one this user may write in"
    return CheckFinding("runtime directory", text, Exit.CANNOT_CREATE)


def line_counters(source: LineCounterSource, reading: CounterReading | Unavailable) -> CheckFinding:
    """Report the counters of the line and the state of their interface."""
    if source.kind is LineCounters.NONE:
        text = "none: a missed floor stays unconfirmed, since the site may have used the line itself"
        return CheckFinding("line counters", text, note=True)
    if isinstance(reading, Unavailable):
        whose = Exit.UNAVAILABLE if source.kind is LineCounters.SNMP else Exit.CONFIGURATION
        return CheckFinding("line counters", reading.detail, whose)
    if reading.carrier is False:
        text = f"{source.interface} has no link: is its cable in, is it the interface towards the line?"
        return CheckFinding("line counters", text, Exit.UNAVAILABLE)
    speed = f" at {megabits(reading.speed_bps)} Mbit/s" if reading.speed_bps else ""
    text = (
        f"{source.kind}: {source.interface}{speed}, {reading.frame_bytes} B a packet beyond the IP layer,"
        f" {reading.received_packets} packets received, {reading.sent_packets} sent so far"
    )
    return CheckFinding("line counters", text)


async def counted(context: ProbeContext, before: CounterReading) -> CheckFinding:
    """Try if the counters counted the test that the peer has just sent."""
    source = context.line_counters
    # A peer on this machine, as in the example settings, never crosses the counted interface.
    on_loopback = is_loopback(context.settings.peer.host)
    waited_s = 0.0
    while True:
        await asyncio.sleep(source.lag_s)
        waited_s += source.lag_s
        finding = movement(source.interface, before, await source.ask(), on_loopback=on_loopback)
        # A router that refreshes its counters once a minute is usable, after a wait.
        if finding.ok or on_loopback or not source.lag_s or waited_s >= PATIENCE_S:
            break
    if finding.ok and waited_s >= REFRESH_NOTED_S:
        text = f"{finding.text}, {waited_s:.0f} s later: they are refreshed seldom, so that fails take longer"
        return replace(finding, text=text)
    return finding


def movement(
    interface: str, before: CounterReading, after: CounterReading | Unavailable, *, on_loopback: bool = False
) -> CheckFinding:
    """Compare two readings of the counters with ``PROBED_BYTES`` that came down the line between them.

    ``on_loopback``: the peer is on this machine, and its tests cross no other interface.
    """
    what = "counters move"
    added = after if isinstance(after, Unavailable) else after.since(before)
    if isinstance(added, Unavailable):
        return CheckFinding(what, added.detail, Exit.UNAVAILABLE)
    down, up = added.received_ip_bytes, added.sent_ip_bytes
    seen = f"of a test of {PROBED_BYTES} B towards the site, {interface} counted {down} B received"
    if down >= PROBED_BYTES / 2:
        return CheckFinding(what, seen)
    if up >= PROBED_BYTES / 2:
        text = f"{seen} and {up} B sent: it is towards the site; name the interface towards the line"
        return CheckFinding(what, text, Exit.CONFIGURATION)
    if on_loopback:
        text = f"{seen}: the peer is on this machine, and its tests do not leave it; name the site's own peer"
        return CheckFinding(what, text, Exit.CONFIGURATION)
    text = f"{seen}: they stand still, or are those of another line; name the interface towards the line"
    return CheckFinding(what, text, Exit.CONFIGURATION)


async def peer_name(context: ProbeContext) -> CheckFinding:
    """Try to resolve the peer's name. Addresses of an earlier run serve where no resolver answers."""
    host = context.settings.peer.host
    addresses = context.peer_addresses or HostAddresses(host)
    await addresses.refresh(LOOKUP_WITHIN_S)
    problem, known = addresses.problem, addresses.candidates
    if problem is not None:
        text = f"{host}: {problem.strerror or problem}: correct peer.host or the site's DNS"
        if known:
            return CheckFinding("peer's name", f"{text}; going on with {', '.join(known)}", note=True)
        return CheckFinding("peer's name", text, Exit.UNAVAILABLE)
    if not known:
        text = f"{host}: no answer within {LOOKUP_WITHIN_S:.0f} s: the site's DNS does not answer"
        return CheckFinding("peer's name", text, Exit.UNAVAILABLE)
    if addresses.is_literal:
        return CheckFinding("peer's name", f"{host}, an address")
    return CheckFinding("peer's name", f"{host} is {', '.join(known)}")


async def peer_families(context: ProbeContext) -> CheckFinding | None:
    """Try each address of the peer by itself; None where there is one alone."""
    known = () if context.peer_addresses is None else context.peer_addresses.candidates
    if len(known) < 2:
        return None
    key = context.peer_key if context.settings.stamp.authenticated else None
    port = context.settings.peer.stamp_port
    estimate = ErrorEstimate.of_clock(context.clock())
    answers = await asyncio.gather(*(peer_answers(one, port, key, estimate) for one in known))
    silent = [one for one, answered in zip(known, answers, strict=True) if not answered]
    if not silent or len(silent) == len(known):
        return CheckFinding("peer's addresses", f"{len(known)} addresses, {len(known) - len(silent)} answer")
    names = ", ".join(f"{one} ({family_name(one)})" for one in silent)
    text = f"{names}: no answer, while another address of the peer answers: look at the way to this one"
    return CheckFinding("peer's addresses", text, note=True)


async def peer_stamp(context: ProbeContext) -> CheckFinding:
    """Try the peer's reflector with two packets."""
    chosen = context.settings
    # Two packets, because the first may be lost to address resolution.
    quick = msgspec.structs.replace(chosen.stamp, packets=2, spacing=Seconds(QUICK_S))
    changed = msgspec.structs.replace(chosen, stamp=quick)
    probe = StampProbe(msgspec.structs.replace(context, settings=changed))
    first = chosen.stamp.classes[0].dscp if chosen.stamp.classes else 0
    runner = Runner(chosen.peer.name, context.clock)
    reading = (await runner.run(probe, Task("stamp", 60, dscp=first), Purpose.ON_DEMAND)).reading
    if reading.outcome is Outcome.OK:
        return CheckFinding("peer's STAMP", f"answers on port {chosen.peer.stamp_port}")
    text = remedies.advice(reading.failure, reading.detail) if reading.failure else reading.detail
    return CheckFinding("peer's STAMP", text, Exit.UNAVAILABLE)


async def peer_udpstp(context: ProbeContext) -> CheckFinding:
    """Try a load test with the peer: one second at 1 Mbit/s, 125 kB."""
    peer = context.settings.peer
    report = await udpstp_client.run_load(
        await context.peer_host(),
        peer.udpstp_port,
        key_id=peer.key_id,
        secret=context.peer_key,
        direction=Direction.DOWN,
        row=rates.row_for(PROBED_BPS),
        duration_s=1,
    )
    if report.ending is Ending.COMPLETED:
        return CheckFinding("peer's UDPSTP", f"answers on port {peer.udpstp_port}")
    detail = f"{peer.host} port {peer.udpstp_port}: {report.detail}"
    text = remedies.advice(validity.failure_of(report), detail)
    return CheckFinding("peer's UDPSTP", text, Exit.UNAVAILABLE)


async def reachability(context: ProbeContext) -> CheckFinding:
    """Poll the targets of the outage rules. An outage of now is a note: other findings show it, too."""
    found = await ReachabilityProbe(context).look()
    if found.outage is not None:
        text = f"{found}: outage, {remedies.outage_advice(found.outage)}"
        return CheckFinding("reachability", text, note=True)
    if found.egress.kind is not EgressKind.DIRECT and not found.first_hop:
        text = f"{found}: the cause of an outage may stay unknown"
        return CheckFinding("reachability", text, note=True)
    return CheckFinding("reachability", str(found), note=found.failure is not None)


async def path(context: ProbeContext) -> CheckFinding:
    """Try the path helper with one packet as far as the first hop."""
    chosen = context.settings
    quick = msgspec.structs.replace(
        chosen.section(PathSettings), hops=1, packets=1, timeout=Seconds(PATH_WITHIN_S)
    )
    changed = msgspec.structs.replace(chosen, path=quick)
    probe = PathProbe(msgspec.structs.replace(context, settings=changed))
    runner = Runner(chosen.peer.name, context.clock)
    reading = (await runner.run(probe, probe.tasks()[0], Purpose.ON_DEMAND)).reading
    if reading.failure in (Failure.CONFIGURATION, Failure.INTERNAL, Failure.DEADLINE):
        return CheckFinding("path", reading.detail, note=True)
    who = "this program" if chosen.section(PathSettings).helper is None else "the helper"
    return CheckFinding("path", f"{who} may send the packets of a trace")


async def broker(chosen: AgentSettings, addresses: HostAddresses | None = None) -> CheckFinding:
    """Try to connect to the broker, with a client id that does not disconnect a running agent."""
    try:
        session = Session(
            chosen.broker,
            f"plancher-check-{chosen.site}-{os.getpid()}",
            # All that ``run`` needs. The will is empty: if it is ever sent, it says nothing of the site.
            subscriptions=[topics.topic(chosen.site, kind) for kind in (Kind.RECEIPTS, Kind.COMMANDS)],
            will=Publication(topics.topic(chosen.site, Kind.PRESENCE), b"", retain=True),
            clock_synchronised=_synchronised,
            addresses=addresses,
        )
    except BrokerError as error:
        return CheckFinding("broker", str(error), code_of(error))
    connecting = asyncio.create_task(session.run())
    undecided = session.problem
    try:
        async with asyncio.timeout(BROKER_WITHIN_S):
            while session.problem == undecided:  # noqa: ASYNC110 -- an attribute changes, there is no event
                await asyncio.sleep(QUICK_S)
    except TimeoutError:
        undecided = None
    finally:
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
    return _broker_finding(chosen, session, timed_out=undecided is None)


def _synchronised() -> bool:
    return Clock().read().synchronised


def _broker_finding(chosen: AgentSettings, session: Session, *, timed_out: bool) -> CheckFinding:
    place = f"{chosen.broker.host}:{chosen.broker.port}"
    if timed_out:
        text = f"{place}: no answer within {BROKER_WITHIN_S:.0f} s: a firewall blocks it, or it hangs"
        return CheckFinding("broker", text, Exit.UNAVAILABLE)
    if session.problem:
        return CheckFinding("broker", session.problem.removeprefix("broker "), Exit.UNAVAILABLE)
    if open_way := unprotected(chosen.broker):
        return CheckFinding("broker", f"{place}: connected {open_way}", note=True)
    if not session.retains:
        return CheckFinding("broker", f"{place}: connected, {UNRETAINED}", note=True)
    but = "" if session.dates_checked else ", certificate's dates unchecked: this clock is not synchronised"
    return CheckFinding("broker", f"{place}: connected{but}")
