"""Run of the demo: programs started in order, figures read once a second."""

import time
from collections.abc import Callable

import msgspec

from lab.demo import programs
from lab.demo.figures import Figures, fetch
from lab.demo.files import FIRST_WITHIN_S, TRAIN_PACKETS, Files
from lab.demo.sites import LINES, Line
from lab.links.link import LinkReport, decode_report
from lab.programs.places import Places
from lab.programs.supervisor import ChildExit, ChildProgram, Supervisor, last_lines

READY_WITHIN_S = 20.0
LOOK_EVERY_S = 1.0
ENDED_WITHIN_S = 30.0

Say = Callable[[str], None]
Poll = Callable[[], None]


class DiedError(Exception):
    """A program ended by itself, or was not ready in time; the text has its last output."""


class Stage:
    """All running programs, and the collector's figures so far.

    ``say`` prints progress. ``poll`` raises when the demo is to end; it is called all the time.
    """

    def __init__(self, supervisor: Supervisor, places: Places, files: Files, say: Say, poll: Poll) -> None:
        self.places = places
        self.figures = Figures(TRAIN_PACKETS)
        self.began = time.monotonic()
        self._supervisor = supervisor
        self._files = files
        self._say = say
        self._poll = poll
        self._agents = list(zip(programs.agents(files, places), LINES, strict=True))
        self._next_agent = self.began

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first program was started."""
        return time.monotonic() - self.began

    def start(self) -> None:
        """Start everything but the agents, each program when its servers are ready. Raises DiedError."""
        files, places = self._files, self.places
        self._say(f"broker     127.0.0.1:{places.broker_port}")
        self._start(*programs.broker(places))
        ports = f"{places.control_port} (RFC 9946), {places.stamp_port} (STAMP)"
        self._say(f"peer       127.0.0.1:{ports}")
        self._start(*programs.peer(files, places))
        self._say(f"collector  {places.page}")
        self._start(*programs.collector(files, places))
        for program, line, address in zip(programs.links(files, places), LINES, places.links, strict=True):
            self._say(f"link       {address}: {_described(line)}")
            self._start(program, self._relays(program))
        self._next_agent = time.monotonic()

    def look(self) -> None:
        """Wait for a second, start the next agent if it is due, and read the collector's page.

        Raises DiedError when a program has ended.
        """
        self._wait(lambda: False, LOOK_EVERY_S)
        self._start_next_agent()
        page = fetch(f"{self.places.page}metrics")
        if page is not None:
            self.figures.take(page)

    def end_links(self) -> list[LinkReport]:
        """End agents and links, and return the closing accounts of the links. Raises DiedError."""
        self._supervisor.stop(ENDED_WITHIN_S, from_wave=programs.LINK_WAVE)
        return [self._account(program) for program in programs.links(self._files, self.places)]

    def _account(self, link: ChildProgram) -> LinkReport:
        said = last_lines(self._supervisor.log_of(link.name), 1)
        try:
            return decode_report("".join(said))
        except msgspec.DecodeError:
            raise DiedError(f"{link.name} ended without an account; it said: {said}") from None

    def _start_next_agent(self) -> None:
        # One after the other: their first tests would otherwise compete for a small machine's processors.
        if self._agents and time.monotonic() >= self._next_agent:
            program, line = self._agents.pop(0)
            self._say(f"agent      {line.site.name}, {line.site.commune}")
            self._supervisor.start(program)
            self._next_agent = time.monotonic() + FIRST_WITHIN_S

    def _start(self, program: ChildProgram, ready: Callable[[], bool]) -> None:
        self._supervisor.start(program)
        if not self._wait(ready, READY_WITHIN_S):
            raise DiedError(f"{program.name} was not ready after {READY_WITHIN_S:g} s")

    def _relays(self, program: ChildProgram) -> Callable[[], bool]:
        log = self._supervisor.log_of(program.name)
        return lambda: "relaying" in log.read_text()

    def _wait(self, ready: Callable[[], bool], within_s: float) -> bool:
        def asked() -> bool:
            self._poll()
            return ready()

        found = self._supervisor.wait_until(asked, within_s)
        if isinstance(found, ChildExit):
            raise DiedError(str(found))
        return found


def _described(line: Line) -> str:
    rate = f"{line.down.rate_bps / 1e6:g} Mbit/s"
    delay = f"{(line.down.delay_us + line.up.delay_us) / 1e3:g} ms"
    loss = f", {line.down.loss:.0%} loss" if line.down.loss else ""
    return f"{line.site.name}, {rate}, {delay}{loss}"
