"""Command ``plancher-lab demo``: start all programs, show or check the measurements, end all programs."""

import argparse
import contextlib
import io
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from rich.console import Console
from rich.live import Live

from host.exits import Exit
from lab.demo import programs, table
from lab.demo.compare import FigureComparison, compare, compare_state, is_complete
from lab.demo.figures import SiteFigures
from lab.demo.files import TRAIN_PACKETS, Files
from lab.demo.sites import LINES, WAITING
from lab.demo.stage import DemoStage, DiedError, Poll
from lab.programs.places import NoRoomError, claim
from lab.programs.supervisor import Supervisor

# The check waits for as long as the agents go on measuring, at most so long.
STALLED_AFTER_S = 60.0
CHECK_WITHIN_S = 900.0
# So many packets up distinguish a loss of 1 % from none.
PACKETS_TO_COMPARE = 5 * TRAIN_PACKETS

WIDTH_WITHOUT_TERMINAL = 120

Complain = Callable[[str], None]
Key = tuple[object, ...]


class EndedError(Exception):
    """A signal asked for the end."""


def run(options: argparse.Namespace, complain: Complain) -> Exit:
    """Run the demo until it is ended, or its check until it is decided."""
    console = _console()
    try:
        programs.require()
        with _ended_by_signals() as poll, _running(console, poll) as stage:
            stage.start()
            if options.check:
                return check(stage, console)
            show(stage, console)
    except NoRoomError as error:
        complain(f"configuration: {error}")
        return Exit.UNAVAILABLE
    except DiedError as error:
        complain(str(error))
        return Exit.SOFTWARE
    except EndedError:
        console.print("Ended; all programs and files are removed.")
    return Exit.INTERRUPTED if options.check else Exit.OK


def show(stage: DemoStage, console: Console) -> None:
    """Show the figures until a signal asks for the end. Raises DiedError or EndedError."""
    console.print(f"\nThe page: [bold]{stage.places.page}[/bold]   Ctrl-C ends everything.\n")
    if console.is_terminal:
        _show_table(stage, console)
    else:
        _show_lines(stage, console)


def check(stage: DemoStage, console: Console) -> Exit:
    """Compare all figures with the emulated values once they are complete. Raises DiedError or EndedError."""
    done, since_s = 0, stage.elapsed_s
    while stage.elapsed_s < min(since_s + STALLED_AFTER_S, CHECK_WITHIN_S) and not _is_complete(stage):
        stage.look()
        if (now_done := stage.figures.measurements()) > done:
            done, since_s = now_done, stage.elapsed_s
    rows = _compare(stage)
    console.print(table.comparison(rows))
    wrong = [row for row in rows if not row.agrees]
    for row in wrong:
        console.print(f"Disagrees: {row.site}, {row.figure}: {row.measured}; emulated: {row.truth}")
    console.print(f"{len(rows) - len(wrong)} of {len(rows)} figures agree, after {stage.elapsed_s:.0f} s.")
    return Exit.FAIL if wrong else Exit.OK


def _console() -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names have accents, which some terminals lack
    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(highlight=False, width=width)


def _show_table(stage: DemoStage, console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(table.live(LINES, WAITING, stage.figures.sites, time.time()), refresh=True)
            stage.look()


def _show_lines(stage: DemoStage, console: Console) -> None:
    """Print a line for each site whose verdict or capacity has changed."""
    shown: dict[str, Key] = {}
    while True:
        stage.look()
        for line in LINES:
            figures = stage.figures.sites.get(line.site.site_id, SiteFigures())
            news = (figures.state, *sorted(figures.passed.items()), *sorted(figures.capacity))
            if figures.newest_s is not None and shown.get(line.site.site_id) != news:
                shown[line.site.site_id] = news
                console.print(table.plain(line, figures), soft_wrap=True)


def _is_complete(stage: DemoStage) -> bool:
    sites = stage.figures.sites
    return all(
        line.site.site_id in sites and is_complete(line, sites[line.site.site_id], PACKETS_TO_COMPARE)
        for line in LINES
    )


def _compare(stage: DemoStage) -> list[FigureComparison]:
    rows: list[FigureComparison] = []
    for line, link in zip(LINES, stage.end_links(), strict=True):
        figures = stage.figures.sites.get(line.site.site_id, SiteFigures())
        rows += compare(line, figures, link)
    for site in WAITING:
        state = stage.figures.sites.get(site.site_id, SiteFigures()).state
        rows.append(compare_state(site.name, "waiting", state))
    return rows


@contextlib.contextmanager
def _running(console: Console, poll: Poll) -> Iterator[DemoStage]:
    """Run the programs in a directory of their own; both are removed after the block."""
    with (
        claim(len(LINES)) as places,
        tempfile.TemporaryDirectory(prefix="plancher-demo-") as name,
        Supervisor(Path(name)) as supervisor,
    ):
        yield DemoStage(supervisor, places, Files(Path(name), places), console.print, poll)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[Poll]:
    """Return a function that raises EndedError once a signal has asked for the end."""
    # The handler only sets a flag: an exception at any point of the program could miss a child.
    asked: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)

    def poll() -> None:
        if asked:
            raise EndedError

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield poll
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
