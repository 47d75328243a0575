"""How every program starts and ends: one parser with our exit codes, one place where errors become words."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import NoReturn, TypeVar

from host.exits import Exit
from host.settings import SettingsError

Value = TypeVar("Value")


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong call exits with 64 (sysexits.h), because 2 means "could not tell" here.

    A call without the command that it needs lists the commands, and what a command does not know is told with
    that command's usage: argparse tells it with the program's.
    """

    def parse_known_args(  # type: ignore[override]  # of its overloads only what parse_args needs
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """As argparse has it, but that nothing is left unknown. Exits with ``Exit.USAGE``."""
        given = sys.argv[1:] if args is None else list(args)
        if self._subparsers is not None and not given:
            self.print_help(sys.stderr)
            self.exit(Exit.USAGE)
        known, unknown = super().parse_known_args(given, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown

    def error(self, message: str) -> NoReturn:
        """Print usage and the mistake, exit with ``Exit.USAGE``."""
        self.print_usage(sys.stderr)
        self.exit(Exit.USAGE, f"{self.prog}: {message}\n")


def version() -> str:
    """The version of the installed distribution."""
    return metadata.version("plancher")


def parser(program: str, description: str) -> Parser:
    """A program's parser, with ``--version``."""
    built = Parser(prog=program, description=description)
    built.add_argument("--version", action="version", version=f"{program} {version()}")
    return built


def reader(read: Callable[[str], Value]) -> Callable[[str], Value]:
    """Make argparse show the sentence of the ValueError that ``read`` raises."""

    def wrapped(text: str) -> Value:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return wrapped


def run(main: Callable[[Sequence[str]], int], program: str) -> NoReturn:
    """Run ``main`` with the command line and exit with its code; known errors become one line.

    An error that is our own fault keeps its traceback and exits with ``Exit.SOFTWARE``: Python's own 1 is a
    verdict here.
    """
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except SettingsError as error:
        code = _complain(program, str(error), Exit.CONFIGURATION)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on. What is still buffered goes nowhere, or flushing it at the end would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = Exit.BROKEN_PIPE
    except Exception:
        traceback.print_exc()
        code = _complain(program, "internal error, as told above: please report it", Exit.SOFTWARE)
    sys.exit(code)


def _complain(program: str, text: str, code: Exit) -> Exit:
    print(f"{program}: {text}", file=sys.stderr)
    return code
