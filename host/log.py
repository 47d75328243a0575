"""Log format of all programs: ``2026-03-31T12:00:00Z warning agent.uplink.uplink: text``, to standard error.

Where that is systemd's journal, which adds time and priority, a line starts with ``<4>`` instead. No secret
is ever logged: settings have fields of their own for secrets, and no message repeats their values. Text from
outside cannot begin a line: line ends and other invisible characters are written as escapes.

Of lines that one place logs, 20 a minute pass (``SameLines``). The next one says how many did not.
"""

import logging
import os
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
LEVELS = ("debug", "info", "warning", "error")
MINUTE_S = 60.0
SAME_LINES_A_MINUTE = 20
PLACES = 1000  # places whose lines are counted: far more than the programs have


class _Formatter(logging.Formatter):
    converter = staticmethod(time.gmtime)

    def __init__(self, *, journal: bool) -> None:
        prefix = "<%(priority)d>" if journal else "%(asctime)sZ %(level)s "
        super().__init__(prefix + "%(name)s: %(message)s", datefmt="%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        record.priority = _PRIORITY.get(record.levelno, 6)
        record.level = record.levelname.lower()
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 -- logging's
        try:
            text = super().formatException(ei)
        except Exception:
            # A traceback reads source files, which fails on a bad disk or without free file descriptors.
            return one_line(repr(ei[1]))
        # The text of an error may come from outside: indented, none of its lines looks like one of the log.
        return "\n".join(f"    {one_line(line)}" for line in text.splitlines())


def one_line(text: str) -> str:
    """Text in which every character that cannot be seen is written as an escape, line ends among them."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


class SameLines(logging.Filter):
    """Filter that lets a bounded number of lines a minute of each place in the code pass.

    A flood, or a lack of file descriptors, would fill the disk otherwise. Debug lines all pass.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        # Begin of the minute, lines in it.
        self._places: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Count the line, and return True if it passes."""
        if record.levelno <= logging.DEBUG:
            return True
        # Libraries put values into the text itself: its first line names the event.
        place = (record.name, record.lineno, str(record.msg).partition("\n")[0][:80])
        now = self._now()
        begin, lines = self._places.get(place, (now, 0))
        if now - begin >= MINUTE_S:
            if lines > SAME_LINES_A_MINUTE:
                left_out = lines - SAME_LINES_A_MINUTE
                record.msg = f"{record.getMessage()} ({left_out} lines like this one were left out)"
                record.args = None
            begin, lines = now, 0
        if place not in self._places and len(self._places) >= PLACES:
            del self._places[next(iter(self._places))]
        self._places[place] = (begin, lines + 1)
        return lines < SAME_LINES_A_MINUTE


def _is_journal(stream: TextIO) -> bool:
    """Check if ``stream`` is the journal."""
    # The variable is inherited, but standard error may be another file.
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def start(level: str = "info") -> None:
    """Send every logger's lines from ``level`` up (one of ``LEVELS``) to standard error, once."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(journal=_is_journal(sys.stderr)))
    handler.addFilter(SameLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
