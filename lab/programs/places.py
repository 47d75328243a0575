"""Free addresses and ports on loopback for the programs of the lab."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

PEER_HOST = "127.0.0.1"
# A process that has bound 127.0.N.1 at this port owns the addresses 127.0.N.*. The kernel frees the port when
# the process ends.
CLAIM_PORT = 24600
THIRD_OCTETS = range(1, 255)


class NoRoomError(Exception):
    """This machine lacks what is needed; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses and ports of the programs.

    ``links`` has one address a site; the ports are those of PEER_HOST.
    """

    broker_port: int
    page_port: int
    control_port: int
    stamp_port: int
    links: tuple[str, ...]

    @property
    def page(self) -> str:
        """URL of the collector's page."""
        return f"http://{PEER_HOST}:{self.page_port}/"


@contextlib.contextmanager
def claim(sites: int) -> Iterator[Places]:
    """Find addresses for a number of sites and reserve them for the block. Raises NoRoomError."""
    with _claim_network() as network:
        broker, page = _two_free_ports(socket.SOCK_STREAM)
        control, stamp = _two_free_ports(socket.SOCK_DGRAM)
        yield Places(broker, page, control, stamp, tuple(f"{network}.{2 + index}" for index in range(sites)))


@contextlib.contextmanager
def _claim_network() -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claimed:
        yield _bound_network(claimed)


def _bound_network(claimed: socket.socket) -> str:
    refusal = ""
    for third in THIRD_OCTETS:
        try:
            claimed.bind((f"127.0.{third}.1", CLAIM_PORT))
        except OSError as error:
            refusal = error.strerror or str(error)
        else:
            return f"127.0.{third}"
    raise NoRoomError(
        f"cannot bind any address of 127.0.1.0 to 127.0.254.255 ({refusal}): "
        "bring the loopback interface up as root with `ip link set lo up`"
    )


def _two_free_ports(kind: socket.SocketKind) -> tuple[int, int]:
    """Return two different ports that were free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as one, socket.socket(socket.AF_INET, kind) as other:
        one.bind((PEER_HOST, 0))
        other.bind((PEER_HOST, 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
