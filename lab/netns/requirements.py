"""Requirements of kernel links: Linux, root, and three programs."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from lab.programs import installed

PROGRAMS = {"ip": "iproute2", "tc": "iproute2", "nft": "nftables"}
# Bits of the effective capability set (capabilities(7)): devices need the first, namespaces the second.
CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21}


class KernelLinkError(Exception):
    """A kernel link failed; the text says why."""


def lacking(more: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """List what this machine or user lacks for a kernel link, each with the remedy.

    ``more`` maps further programs to their Debian packages: one command installs all.
    """
    if sys.platform != "linux":
        return ("Linux: other systems have no network namespaces",)
    return (*_rights(), *installed.lacking({**PROGRAMS, **more}))


def path_of(program: str) -> str:
    """Return the path of one of PROGRAMS. Raises MissingProgramError."""
    return installed.require(program, PROGRAMS[program])


def _rights() -> list[str]:
    missing = [name for name, bit in CAPABILITIES.items() if not _effective() >> bit & 1]
    if not missing:
        return []
    if os.geteuid() != 0:
        return [f"root rights to create network namespaces (this is user id {os.geteuid()}): use sudo"]
    return [f"{' and '.join(missing)}: this root user cannot create network namespaces; is this a container?"]


def _effective() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
