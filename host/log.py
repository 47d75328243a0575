"""The one log format: ``2026-03-31T12:00:00Z warning agent.uplink.uplink: text``, to standard error.

Where that is systemd's journal, which stamps time and priority, a line starts with ``<4>`` instead. Nothing
secret is ever logged: settings hold secrets in their own fields, and no message repeats a value of one.
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

    def formatException(self, ei: ExceptionInfo) -> str:  # noqa: N802 -- logging's
        """A traceback; where none can be made (no more files to open, a bad disk) the error alone."""
        try:
            return super().formatException(ei)
        except Exception:
            return repr(ei[1])


def _is_journal(stream: TextIO) -> bool:
    """Whether lines go to the journal. The variable that names it is inherited, what it names may not be."""
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
