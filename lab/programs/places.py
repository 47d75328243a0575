"""Where programs of the lab listen: addresses and ports on loopback nobody else uses, found by trying."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

PEER_HOST = "127.0.0.1"
# Whoever holds this port at 127.0.N.1 owns the addresses 127.0.N.*; the kernel frees it with its process.
CLAIM_PORT = 24600
THIRD_OCTETS = range(1, 255)


class NoRoomError(Exception):
    """This machine lacks what is needed; the text says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything listens. ``links`` are addresses, one a site; the ports are those of PEER_HOST."""

    broker_port: int
    page_port: int
    control_port: int
    stamp_port: int
    links: tuple[str, ...]

    @property
    def page(self) -> str:
        """The address of the collector's page."""
        return f"http://{PEER_HOST}:{self.page_port}/"


@contextlib.contextmanager
def claim(sites: int) -> Iterator[Places]:
    """Find places for so many sites and keep their addresses from everybody else. Raises NoRoomError."""
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
        f"no address of 127.0.1.0 to 127.0.254.255 can be had ({refusal}): "
        "is the loopback interface up? `ip link set lo up` (as root) mends that"
    )


def _two_free_ports(kind: socket.SocketKind) -> tuple[int, int]:
    """Ports that were free a moment ago, and differ."""
    with socket.socket(socket.AF_INET, kind) as one, socket.socket(socket.AF_INET, kind) as other:
        one.bind((PEER_HOST, 0))
        other.bind((PEER_HOST, 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])
