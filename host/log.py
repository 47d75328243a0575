"""Log format of all programs: ``2026-03-31T12:00:00Z warning agent.uplink.uplink: text``, to standard error.

Where that is systemd's journal, which adds time and priority, a line starts with ``<4>`` instead. No secret
is ever logged: settings have fields of their own for secrets, and no message repeats their values. Text from
outside cannot begin a line: line ends and other invisible characters are written as escapes.
"""

import logging
import os
import sys
import time
from types import TracebackType
from typing import TextIO

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
LEVELS = ("debug", "info", "warning", "error")


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
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
