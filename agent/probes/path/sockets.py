"""Sockets of the path helper: everything that needs CAP_NET_RAW, which is given up after they are open.

One raw socket sends whole IP packets. One receives ICMP messages of the kinds that matter. An ordinary UDP
socket has the flow's port and receives the reflector's replies. All have kernel timestamps.
"""

import ctypes
import os
import socket
import struct
from dataclasses import dataclass
from typing import Self

import psutil

from net import timestamps

ORDINARY_MTU, JUMBO_MTU = 1500, 9000

_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE = 10, 23, 3
_SOL_RAW, _ICMP_FILTER = 255, 1
_ICMPV6_FILTER = 1
_WANTED_ICMP = (3, 11)
_WANTED_ICMPV6 = (1, 2, 3)
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_NO_NEW_PRIVS = 38


@dataclass(frozen=True, slots=True)
class PathSockets:
    """Open, non-blocking sockets. ``source`` and ``source_port`` are this end of the flow."""

    sending: socket.socket
    icmp: socket.socket
    replies: socket.socket
    source: str
    source_port: int

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self.sending, self.icmp, self.replies):
            one.close()


def open_to(address: str, port: int) -> PathSockets:
    """Open sockets for a flow to the peer.

    Raises PermissionError without CAP_NET_RAW, OSError without a route.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    source = _source_towards(family, address, port)
    opened: list[socket.socket] = []
    try:
        opened.append(_sending(family))
        opened.append(_icmp(family))
        opened.append(_replies(family, source))
    except OSError:
        for one in opened:
            one.close()
        raise
    sending, icmp, replies = opened
    return PathSockets(sending, icmp, replies, source, replies.getsockname()[1])


def give_up_rights() -> None:
    """Give up all capabilities before packets from anywhere are read.

    Raises OSError if the kernel refuses.
    """
    library = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    nothing = bytes(2 * struct.calcsize("=III"))
    if library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or library.capset(header, nothing):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def interface_mtu(source: str) -> int:
    """MTU of the interface with this address, at most that of a jumbo frame: the largest packet to try."""
    names = [
        name
        for name, addresses in psutil.net_if_addrs().items()
        if any(one.address.partition("%")[0] == source for one in addresses)
    ]
    known = psutil.net_if_stats()
    return min(JUMBO_MTU, *(known[name].mtu for name in names if name in known)) if names else ORDINARY_MTU


def _source_towards(family: int, address: str, port: int) -> str:
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((address, port))
        return str(asking.getsockname()[0])


def _sending(family: int) -> socket.socket:
    # PMTUDISC_PROBE: the MTU that the kernel learnt before is ignored, because it is what is measured here.
    made = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
    made.setblocking(False)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
    timestamps.enable(made, transmit=True)
    return made


def _icmp(family: int) -> socket.socket:
    # The filter makes the kernel drop all other kinds of messages.
    over_ipv6 = family == socket.AF_INET6
    made = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if over_ipv6 else socket.IPPROTO_ICMP)
    made.setblocking(False)
    if over_ipv6:
        blocked = ((1 << 256) - 1) ^ sum(1 << kind for kind in _WANTED_ICMPV6)
        words = [blocked >> 32 * place & 0xFFFF_FFFF for place in range(8)]
        made.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *words))
    else:
        blocked = 0xFFFF_FFFF ^ sum(1 << kind for kind in _WANTED_ICMP)
        made.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", blocked))
    timestamps.enable(made, transmit=False)
    return made


def _replies(family: int, source: str) -> socket.socket:
    # Not connected: the ICMP message about one packet would end the receipt of others.
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.setblocking(False)
    timestamps.enable(made, transmit=False)
    made.bind((source, 0))
    return made
