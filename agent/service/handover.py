"""Handover of the settings from the command that read them to the resident agent, through a file in memory.

Reading settings takes a YAML parser, a command line and package metadata. The resident agent would keep these
in memory for years. So it is a program of its own, which replaces the first one under the same process id.
"""

import os
import sys
from typing import NoReturn

import msgspec
from msgspec import Struct

from agent.configuration import SETTINGS
from agent.settings.sections import AgentSettings

PROGRAM = "agent.service.__main__"
MAX_BYTES = 1024 * 1024


class Handover(Struct, frozen=True):
    """Checked settings, the secret shared with the peer, and the version of this installation."""

    settings: AgentSettings
    peer_key: bytes
    version: str

    def __repr__(self) -> str:
        return f"Handover(site={self.settings.site!r})"


def replace_this_process(handover: Handover) -> NoReturn:
    """Become the resident agent. The secret is in no argument, no environment and no file on a disk."""
    descriptor = os.memfd_create("plancher-agent", 0)  # without MFD_CLOEXEC: the next program reads it
    os.write(descriptor, msgspec.json.encode(handover, enc_hook=_number))
    os.lseek(descriptor, 0, os.SEEK_SET)
    # glibc gives each thread a heap of its own, which costs the resident agent 0.7 MB and, since its threads
    # take turns anyway, gains it nothing.
    os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    # -P: no import from the directory in which somebody happens to start the agent. no_debug_ranges: a line
    # of a traceback is named by its number, without marks below it, which would be 0.2 MB of tables.
    options = ("-P", "-X", "no_debug_ranges")
    os.execv(sys.executable, [sys.executable, *options, "-m", PROGRAM, str(descriptor)])  # noqa: S606


def receive(descriptor: int) -> Handover:
    """Receive the settings. Raises msgspec.DecodeError or OSError if this is no handover."""
    with os.fdopen(descriptor, "rb") as file:
        document = file.read(MAX_BYTES)
    try:
        received: Handover = _DECODER.decode(document)  # type: ignore[assignment]
    except (UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise msgspec.DecodeError(str(error)) from None
    return Handover(received.settings, received.peer_key, received.version)


def _number(value: object) -> int | float:
    """A quantity of ``host.units`` as the plain number that it is."""
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    raise TypeError(f"no way to hand over a {type(value).__name__}")


def _quantity(kind: type, value: object) -> object:
    return kind(value)


# The settings are of the type that probes' declarations made, which no annotation can name.
_DECODER = msgspec.json.Decoder(
    msgspec.defstruct("Received", [("settings", SETTINGS)], bases=(Handover,), frozen=True),
    dec_hook=_quantity,
)
