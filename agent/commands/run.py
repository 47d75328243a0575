"""``plancher-agent run``: the resident agent."""

import asyncio
import logging
import signal
from pathlib import Path

from agent import assembly
from agent.journal import Journal
from agent.journal_file import JournalError
from agent.journal_thread import JournalThread
from agent.resident import Resident
from agent.settings import AgentSettings
from agent.uplink import Uplink
from host import log
from host.clock import Clock
from host.command_line import version
from host.exits import Exit
from net.mqtt import BrokerError

logger = logging.getLogger("agent")


def main(settings: AgentSettings) -> int:
    """Run until SIGTERM or SIGINT. Raises SettingsError if the peer's key cannot be read."""
    log.start(settings.log_level)
    code = Exit.OK
    try:
        asyncio.run(_run(settings))
    except* BrokerError as group:
        code = _complain(group, Exit.CONFIGURATION)
    except* JournalError as group:
        code = _complain(group, Exit.CANNOT_CREATE)
    return code


async def _run(settings: AgentSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await _resident(settings).run(stop)


def _resident(settings: AgentSettings) -> Resident:
    clock = Clock()
    path = Path(settings.journal.path)
    journal = JournalThread(lambda: Journal(path, settings.journal.size, clock.read()))
    tasks = assembly.tasks(assembly.surroundings(settings, clock.read))
    uplink = Uplink(settings.site, version(), settings.broker, settings.uplink, journal, clock.read)
    logger.info("agent %s for site %s: %s", version(), settings.site, ", ".join(task.name for task in tasks))
    return Resident(settings, version(), tasks, journal, uplink, clock.read)


def _complain(group: ExceptionGroup[Exception], code: Exit) -> Exit:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    logger.error("%s", first)
    return code
