"""The program of the resident agent: started by ``plancher-agent run``, which hands it the settings."""

import signal

if __name__ == "__main__":
    # Until there is something to end in order, an interrupt simply ends: no traceback out of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import asyncio
import logging
import os
import sys
from pathlib import Path

from agent.clock.watch import ClockWatch
from agent.heartbeat.watch import HeartbeatWatch
from agent.names import file as address_file
from agent.names.watch import AddressWatch
from agent.probes.reachability.probe import state_path
from agent.probes.reachability.watch import ReachabilityWatch
from agent.service import handover, memory, wiring
from agent.service.handover import Handover
from agent.service.service import Resident
from agent.settings.sections import AgentSettings
from agent.task.context import ProbeContext
from agent.uplink.uplink import Uplink
from host import log
from host.clock import Clock
from host.exits import Exit, code_of
from host.notify import Notifier
from net.mqtt import BrokerError
from outbox.journal.file import JournalError
from outbox.journal.journal import Journal
from outbox.journal.thread import BEAT_EVERY_S, JournalThread

logger = logging.getLogger("agent")


def main(given: Handover) -> int:
    """Run until SIGTERM or SIGINT."""
    log.start(given.settings.log_level)
    code = Exit.OK
    try:
        asyncio.run(_run(given))
    except* BrokerError as group:
        code = code_of(_first(group))
        logger.error("%s", _first(group))
    except* JournalError as group:
        code = Exit.CANNOT_CREATE
        logger.error("%s", _first(group))
    return code


async def _run(given: Handover) -> None:
    stop = asyncio.Event()
    signals: list[str] = []

    def stop_by(name: str) -> None:
        signals.append(name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_by, number.name)
    resident = _resident(given)
    memory.give_back()
    await resident.run(stop)
    logger.info("stopped by %s", signals[0])


def _resident(given: Handover) -> Resident:
    clock, service = Clock(), Notifier.from_environment(os.environ)
    settings, version = given.settings, given.version
    path = Path(settings.journal.path)
    journal = JournalThread(lambda: Journal(path, settings.journal.size, clock.read()))
    around = wiring.probe_context(settings, clock.read, given.peer_key)
    tasks = wiring.tasks(around)
    uplink = Uplink(
        settings.site,
        version,
        settings.broker,
        settings.uplink,
        journal,
        clock.read,
        around.broker_addresses,
    )
    logger.info("agent %s for site %s: %s", version, settings.site, ", ".join(task.name for task in tasks))
    heartbeat = HeartbeatWatch(path, journal, clock.read, _beat_every_s(settings))
    reachability = _reachability(around, uplink, journal, heartbeat)
    resident = Resident(
        settings,
        version,
        wiring.scheduled(tasks),
        journal,
        uplink,
        clock.read,
        around.line_watch,
        watches=[
            ClockWatch(clock.read, around.peer_time),
            heartbeat,
            *reachability,
            *_addresses(around, journal),
        ],
        service=service,
        outages=lambda: [outage for watch in reachability for outage in watch.outages],
        findings=lambda: [finding for watch in reachability for finding in watch.findings],
    )
    for watch in reachability:
        watch.own_test = resident.measures_alone
    return resident


def _beat_every_s(settings: AgentSettings) -> float:
    """As often as reachability is tested, where that is more often than usual."""
    return min(BEAT_EVERY_S, float(settings.every_s("reachability") or BEAT_EVERY_S))


def _reachability(
    around: ProbeContext, uplink: Uplink, journal: JournalThread, heartbeat: HeartbeatWatch
) -> list[ReachabilityWatch]:
    """One, unless the settings say never."""
    every, peer_last_seen = around.settings.every_s("reachability"), around.peer_last_seen
    if every is None or peer_last_seen is None:
        return []
    path = state_path(around.settings.journal.path)
    return [ReachabilityWatch(around, float(every), uplink, peer_last_seen, journal, path, heartbeat.before)]


def _addresses(around: ProbeContext, journal: JournalThread) -> list[AddressWatch]:
    peer, broker = around.peer_addresses, around.broker_addresses
    if peer is None or broker is None:
        return []
    return [AddressWatch(peer, broker, address_file.path_beside(around.settings.journal.path), journal)]


def _first(group: ExceptionGroup[Exception]) -> Exception:
    first: Exception = group
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first


if __name__ == "__main__":
    sys.exit(main(handover.receive(int(sys.argv[1]))))
