"""Start and end of every program: the parser with our exit codes, and the texts of known errors."""

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import metadata
from typing import NoReturn, TextIO, TypeVar

from host import entry
from host.exits import Exit, code_of
from host.settings import SettingsError

Value = TypeVar("Value")
_LONGEST_NAME = 200
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class Parser(argparse.ArgumentParser):
    """argparse's parser, but a wrong call exits with 64 (sysexits.h), because 2 means "undecided" here.

    A call without a required command lists the commands. An unknown argument of a command is reported with
    the usage of that command; argparse reports it with the usage of the program.
    """

    def parse_known_args(  # type: ignore[override]  # of its overloads only what parse_args needs
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as argparse does, but exit with ``Exit.USAGE`` for unknown arguments."""
        given = sys.argv[1:] if args is None else list(args)
        if self._subparsers is not None and not given:
            self.print_help(sys.stderr)
            self.exit(Exit.USAGE)
        known, unknown = super().parse_known_args(given, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Print usage and error, exit with ``Exit.USAGE``."""
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def version() -> str:
    """Version of the installed distribution."""
    return metadata.version("plancher")


def parser(program: str, description: str) -> Parser:
    """Create a program's parser, with ``--version``."""
    built = Parser(prog=program, description=description)
    built.add_argument("--version", action="version", version=f"{program} {version()}")
    return built


def reader(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Make argparse show the text of the ValueError that ``read`` raises."""

    def wrapped(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return wrapped


def run(main: Callable[[Sequence[str]], int], program: str, distribution: str = "plancher") -> NoReturn:
    """Run ``main`` with the command line and exit with its code; known errors become one line.

    ``distribution`` is what to install where a package is missing, with its extra.
    An internal error shows its traceback and exits with ``Exit.SOFTWARE``: Python's own 1 is a verdict here.
    """
    _prepare_output()
    try:
        code = main(sys.argv[1:])
        # Here and not at exit: an error of the last write must still become an exit code.
        sys.stdout.flush()
    except SettingsError as error:
        code = _complain(program, str(error), code_of(error))
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone.
        code = Exit.BROKEN_PIPE
    except UnicodeEncodeError as error:
        # Of all texts that are encoded, only paths may be such that they cannot be.
        code = _complain(program, _explain(error), Exit.CONFIGURATION)
    except ImportError as error:
        # A package that only some commands need: ``host.entry`` imported the others before.
        problem = entry.missing(error, distribution)
        code = _report_bug(program) if problem is None else _complain(program, problem, Exit.UNAVAILABLE)
    except OSError as error:
        if error.errno not in _FULL:
            code = _report_bug(program)
        else:
            code = _complain(program, f"cannot write: {error.strerror}: make room there", Exit.CANNOT_CREATE)
    except Exception:
        code = _report_bug(program)
    for stream in (sys.stdout, sys.stderr):
        _finish(stream)
    sys.exit(code)


def _prepare_output() -> None:
    """Make every text writable: on a terminal of ASCII, and where the caller has closed an output."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 -- until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: UnicodeEncodeError) -> str:
    name = ascii(error.object)[:_LONGEST_NAME]
    text = f"{name}: a name that {sys.getfilesystemencoding()}, the encoding of this system, does not have"
    return f"{text}: rename it, or set LC_ALL=C.UTF-8"


def _finish(stream: TextIO) -> None:
    """Write what is left; what cannot be written is discarded, or flushing it at exit would fail again."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _report_bug(program: str) -> Exit:
    with suppress(OSError):
        traceback.print_exc()
    return _complain(program, "internal error, see above: please report it", Exit.SOFTWARE)


def _complain(program: str, text: str, code: Exit) -> Exit:
    # A full disk below standard error must not change the exit code.
    with suppress(OSError):
        print(f"{program}: {text}", file=sys.stderr)
    return code
