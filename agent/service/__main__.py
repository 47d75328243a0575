"""The program of the resident agent: started by ``plancher-agent run``, which hands it the settings."""

import signal

if __name__ == "__main__":
    # Until there is something to end in order, an interrupt simply ends: no traceback out of an import.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os

from agent.service.deferred_import import defer

CO_COROUTINE = 0x80


def _is_coroutine_function(function: object) -> bool:
    """As inspect tells of functions and methods: asyncio asks it of a signal's handler."""
    return bool(getattr(getattr(function, "__code__", None), "co_flags", 0) & CO_COROUTINE)


def _annotations(kind: type) -> dict[str, object]:
    """As inspect tells of a class: what makes data classes asks it, in newer versions of Python."""
    return dict(vars(kind).get("__annotations__", {}))


# What the agent needs imports these for cases that it does not have, at a cost of 4 MB of its 32: what a type
# or a function looks like (a data class without a description describes itself by its signature, which nobody
# reads here), which system this is, a traceback, a path as an address, a host name that is not ASCII, ...
defer(
    "inspect",
    signature=lambda _: "",
    iscoroutinefunction=_is_coroutine_function,
    get_annotations=_annotations,
)
defer("platform", system=lambda: os.uname().sysname)
defer("traceback", "extract_stack")
defer("urllib.parse", "quote_from_bytes")
defer("unicodedata", "ucd_3_2_0")
# ... help texts, a subprocess that talks text, an address in square brackets in a URL, and proxies: paho asks
# the last for them only where PySocks is installed, and with it come http.client, email and tempfile.
for _unused in (
    "stringprep",
    "linecache",
    "tokenize",
    "textwrap",
    "locale",
    "ipaddress",
    "urllib.request",
    "msgspec.inspect",
):
    defer(_unused)

import asyncio  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

from agent.clock.watch import ClockWatch  # noqa: E402
from agent.heartbeat import alive_file, alive_watch  # noqa: E402
from agent.heartbeat.alive_watch import AliveWatch  # noqa: E402
from agent.journal.file import JournalError  # noqa: E402
from agent.journal.journal import Journal  # noqa: E402
from agent.journal.thread import JournalThread  # noqa: E402
from agent.probes.reachability.probe import state_path  # noqa: E402
from agent.probes.reachability.watch import ReachabilityWatch  # noqa: E402
from agent.service import handover, memory  # noqa: E402
from agent.service import wiring as assembly  # noqa: E402
from agent.service.handover import Handover  # noqa: E402
from agent.service.service import Resident  # noqa: E402
from agent.settings.sections import AgentSettings  # noqa: E402
from agent.task.context import ProbeContext  # noqa: E402
from agent.uplink.uplink import Uplink  # noqa: E402
from host import log  # noqa: E402
from host.clock import Clock  # noqa: E402
from host.exits import Exit  # noqa: E402
from host.notify import Notifier  # noqa: E402
from net.mqtt import BrokerError  # noqa: E402

logger = logging.getLogger("agent")


def main(given: Handover) -> int:
    """Run until SIGTERM or SIGINT."""
    log.start(given.settings.log_level)
    code = Exit.OK
    try:
        asyncio.run(_run(given))
    except* BrokerError as group:
        code = _complain(group, Exit.CONFIGURATION)
    except* JournalError as group:
        code = _complain(group, Exit.CANNOT_CREATE)
    return code


async def _run(given: Handover) -> None:
    stop = asyncio.Event()
    asked_by: list[str] = []

    def ask(name: str) -> None:
        asked_by.append(name)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask, number.name)
    resident = _resident(given)
    memory.give_back()
    await resident.run(stop)
    logger.info("stopped, as asked by %s", asked_by[0])


def _resident(given: Handover) -> Resident:
    clock, service = Clock(), Notifier.from_environment(os.environ)
    settings, version = given.settings, given.version
    path = Path(settings.journal.path)
    journal = JournalThread(lambda: Journal(path, settings.journal.size, clock.read()))
    around = assembly.probe_context(settings, clock.read, given.peer_key)
    tasks = assembly.tasks(around)
    uplink = Uplink(settings.site, version, settings.broker, settings.uplink, journal, clock.read)
    logger.info("agent %s for site %s: %s", version, settings.site, ", ".join(task.name for task in tasks))
    alive = AliveWatch(path.with_name(alive_file.NAME), journal, clock.read, _sign_every_s(settings))
    reachability = _reachability(around, uplink, journal, alive)
    resident = Resident(
        settings,
        version,
        assembly.scheduled(tasks),
        journal,
        uplink,
        clock.read,
        around.line_watch,
        watches=[
            ClockWatch(clock.read, around.peer_time),
            alive,
            *reachability,
        ],
        service=service,
        outages=lambda: [outage for watch in reachability for outage in watch.outages],
    )
    for watch in reachability:
        watch.own_test = resident.measures_alone
    return resident


def _sign_every_s(settings: AgentSettings) -> float:
    """A sign of life as often as somebody is asked for one, where that is oftener than usual."""
    return min(alive_watch.EVERY_S, float(settings.every_s("reachability") or alive_watch.EVERY_S))


def _reachability(
    around: ProbeContext, uplink: Uplink, journal: JournalThread, alive: AliveWatch
) -> list[ReachabilityWatch]:
    """One, unless the settings say never."""
    every, peer_last_seen = around.settings.every_s("reachability"), around.peer_last_seen
    if every is None or peer_last_seen is None:
        return []
    path = state_path(around.settings.journal.path)
    return [ReachabilityWatch(around, float(every), uplink, peer_last_seen, journal, path, alive.before)]


def _complain(group: BaseExceptionGroup[BaseException], code: Exit) -> Exit:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    logger.error("%s", first)
    return code


if __name__ == "__main__":
    sys.exit(main(handover.receive(int(sys.argv[1]))))
