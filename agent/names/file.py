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
# Far above two hosts with all their addresses; a file of another kind is not read into memory.
MAX_BYTES = 16 * 1024

HostText = Annotated[str, Meta(min_length=1, max_length=253)]
AddressTexts = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=MOST_ADDRESSES)]


class KnownHost(Struct, frozen=True):
    """Addresses of one host: the resolver's newest answer, and those that have authenticated."""

    host: HostText = "-"
    answered: AddressTexts = ()
    proved: AddressTexts = ()

    def addresses_of(self, host: str) -> HostAddresses:
        """Addresses of ``host``. Those of another host, of earlier settings, are left out."""
        if self.host != host:
            return HostAddresses(host)
        return HostAddresses(host, _valid(self.answered), _valid(self.proved))


class KnownHosts(Struct, frozen=True):
    """Content of the file. Peer and broker may have one name: what proves one does not prove the other."""

    peer: KnownHost = KnownHost()
    broker: KnownHost = KnownHost()


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


def of(peer: HostAddresses, broker: HostAddresses) -> KnownHosts:
    """Content of the file for two hosts, without those that are addresses themselves."""
    return KnownHosts(_known(peer), _known(broker))


def _known(host: HostAddresses) -> KnownHost:
    return KnownHost() if host.is_literal else KnownHost(host.host, host.answered, host.proved)


def _valid(addresses: tuple[str, ...]) -> list[str]:
    return [one for one in addresses if is_address(one)]
