"""File of known addresses beside the journal: without a resolver the next run goes on with them.

Content is validated when it is read: a damaged file costs what was known, and no start.
"""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from host import atomic_write
from net.addresses.host import HostAddresses
from net.addresses.preference import MOST_ADDRESSES, is_address

NAME = "addresses.json"
MAX_BYTES = 16 * 1024

HostText = Annotated[str, Meta(min_length=1, max_length=253)]
AddressTexts = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MOST_ADDRESSES)]


class KnownHost(Struct, frozen=True):
    """Addresses of one host: the resolver's newest answer, and those that have authenticated."""

    answered: AddressTexts = ()
    proved: AddressTexts = ()


class KnownHosts(Struct, frozen=True):
    """Content of the file."""

    hosts: Annotated[dict[HostText, KnownHost], Meta(max_length=4)] = {}

    def addresses_of(self, host: str) -> HostAddresses:
        """Addresses of ``host``, with what an earlier run knew of them."""
        known = self.hosts.get(host, KnownHost())
        return HostAddresses(host, _valid(known.answered), _valid(known.proved))


_DECODER = msgspec.json.Decoder(KnownHosts)


def path_beside(journal: str) -> Path:
    """Path of the file of an agent with this journal."""
    return Path(journal).with_name(NAME)


def read(path: Path) -> KnownHosts:
    """Addresses that an earlier run left; none where the file cannot be read."""
    try:
        with path.open("rb") as file:
            return _DECODER.decode(file.read(MAX_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return KnownHosts()


def write(path: Path, known: KnownHosts) -> None:
    """Replace the file durably. Raises OSError if the disk does not take it."""
    atomic_write.replace(path, msgspec.json.encode(known), durably=True)


def of(*hosts: HostAddresses) -> KnownHosts:
    """Content of the file for ``hosts``, without those that are addresses themselves."""
    names = (one for one in hosts if not one.is_literal and one.candidates)
    return KnownHosts({one.host: KnownHost(one.answered, one.proved) for one in names})


def _valid(addresses: tuple[str, ...]) -> list[str]:
    return [one for one in addresses if is_address(one)]
