"""A chain of routers between a site and a peer, each in a namespace of its own, that do to packets as told.

    site ---- r1 ---- r2 ---- r3 ---- far       link n: 10.91.n.1 - 10.91.n.2, fd91::n:1 - fd91::n:2

A router may rewrite DSCP either way, have a narrow link behind it, keep silent about what it drops, or about
everything. It is the truth against which the path probe, and STAMP's word on remarking, are held.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from lab.netns import names, requirements
from lab.netns.links.link import remove_namespace, remove_stale, tool
from lab.netns.requirements import KernelLinkError

NEAR, FAR = "near", "far"
"""A router's devices: towards the site, and away from it."""

ORDINARY_MTU = 1500

_SWITCHES = {
    "ipv4/ip_forward": "1",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/default/accept_dad": "0",
}
_TOO_BIG = ("icmp type destination-unreachable icmp code frag-needed", "icmpv6 type packet-too-big")
_EVERYTHING = (
    "icmp type { destination-unreachable, time-exceeded }",
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded }",
)


@dataclass(frozen=True, slots=True)
class ChainRouter:
    """One router; the defaults do nothing.

    ``mtu``: of the link behind it, both ends. ``sets_dscp`` and ``sets_dscp_back``: what it writes into
    packets that it forwards away from the site and towards it. ``tells_mtu``: whether it says what is too
    big. ``silent``: it sends no ICMP message at all. ``drops_back_above``: bytes of the largest IP packet
    that it forwards towards the site; larger ones vanish.
    """

    mtu: int = ORDINARY_MTU
    sets_dscp: int | None = None
    sets_dscp_back: int | None = None
    tells_mtu: bool = True
    silent: bool = False
    drops_back_above: int | None = None


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """The routers, from the site's on."""

    routers: tuple[ChainRouter, ...] = field(default=(ChainRouter(),) * 3)


class Chain:
    """The namespaces, gone after the block. Raises KernelLinkError where something is lacking or refused."""

    def __init__(self, settings: ChainSettings) -> None:
        self.settings = settings
        self._names = names.fresh_chain(len(settings.routers))
        self._leaving = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if lacking := requirements.lacking():
            raise KernelLinkError(f"a chain of routers needs {'; '.join(lacking)}")
        remove_stale()
        with contextlib.ExitStack() as entering:
            for name in self._names:
                tool("ip", "netns", "add", name)
                entering.callback(remove_namespace, name)
                self._tell(name, "sh", "-ec", _switches())
            self._build()
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    @property
    def site(self) -> str:
        """The site's namespace."""
        return self._names[0]

    @property
    def far(self) -> str:
        """The namespace of the peer."""
        return self._names[-1]

    @property
    def routers(self) -> list[str]:
        """The routers' namespaces, from the site's on."""
        return self._names[1:-1]

    @property
    def far_address(self) -> str:
        """Where the peer is."""
        return self.hop_addresses()[-1]

    def hop_addresses(self, *, over_ipv6: bool = False) -> list[str]:
        """The truth: from where each hop answers, the far end last."""
        return [_address(link, 2, over_ipv6=over_ipv6) for link in range(1, len(self._names))]

    def inside(self, name: str, *command: str) -> tuple[str, ...]:
        """The command line that runs ``command`` inside one of the namespaces."""
        return (requirements.path_of("ip"), "netns", "exec", name, *command)

    def _tell(self, name: str, *command: str, told: str = "") -> str:
        return tool(*self.inside(name, *command), told=told)

    def _build(self) -> None:
        for link in range(1, len(self._names)):
            self._join(link)
        last = len(self._names) - 1
        for place, name in enumerate(self._names):
            tool("ip", "-n", name, "-batch", "-", told=_routes(place, last, over_ipv6=False))
            tool("ip", "-6", "-n", name, "-batch", "-", told=_routes(place, last, over_ipv6=True))
        for name, router in zip(self._names[1:-1], self.settings.routers, strict=True):
            self._tell(name, requirements.path_of("nft"), "-f", "-", told=_rules(router))

    def _join(self, link: int) -> None:
        """A veth pair between one namespace and the next."""
        nearer, farther = self._names[link - 1], self._names[link]
        mtu = self.settings.routers[link - 2].mtu if link > 1 else ORDINARY_MTU
        peer = f"peer name {NEAR} mtu {mtu} address {_mac(link, 2)} netns {farther}"
        made = f"link add {FAR} mtu {mtu} address {_mac(link, 1)} type veth {peer}\n"
        tool("ip", "-n", nearer, "-batch", "-", told=made + _up(link, 1, FAR))
        tool("ip", "-n", farther, "-batch", "-", told=_up(link, 2, NEAR))


def _switches() -> str:
    files = ((f"/proc/sys/net/{file}", value) for file, value in _SWITCHES.items())
    return "\n".join(f"[ ! -e {file} ] || echo {value} > {file}" for file, value in files)


def _address(link: int, side: int, *, over_ipv6: bool) -> str:
    return f"fd91::{link}:{side}" if over_ipv6 else f"10.91.{link}.{side}"


def _network(link: int, *, over_ipv6: bool) -> str:
    return f"fd91::{link}:0/112" if over_ipv6 else f"10.91.{link}.0/24"


def _mac(link: int, side: int) -> str:
    """A locally administered address."""
    return f"02:00:00:00:{link:02x}:{side:02x}"


def _up(link: int, side: int, device: str) -> str:
    """Neighbours are permanent: looking for them would hold up, and in IPv6 lose, the first packets."""
    other, mac = 3 - side, _mac(link, 3 - side)
    return "\n".join((
        "link set lo up",
        f"address add {_address(link, side, over_ipv6=False)}/24 dev {device}",
        f"address add {_address(link, side, over_ipv6=True)}/112 dev {device} nodad",
        f"link set {device} up",
        f"neighbour add {_address(link, other, over_ipv6=False)} lladdr {mac} dev {device} nud permanent",
        f"neighbour add {_address(link, other, over_ipv6=True)} lladdr {mac} dev {device} nud permanent",
        "",
    ))  # fmt: skip


def _routes(place: int, last: int, *, over_ipv6: bool) -> str:
    """Away from the site by default, back by the networks that lie there; the far end has one way only."""
    back = _address(place, 1, over_ipv6=over_ipv6)
    if place == last:
        return f"route add default via {back}\n"
    lines = [f"route add {_network(link, over_ipv6=over_ipv6)} via {back}" for link in range(1, place)]
    return "\n".join([*lines, f"route add default via {_address(place + 1, 2, over_ipv6=over_ipv6)}", ""])


def _rules(router: ChainRouter) -> str:
    """For ``nft -f -`` inside the router: marks as it forwards, ICMP as it answers."""
    forward = [*_marks(NEAR, router.sets_dscp), *_marks(FAR, router.sets_dscp_back)]
    if router.drops_back_above is not None:
        forward.append(f'iifname "{FAR}" meta length > {router.drops_back_above} drop')
    silenced: Iterable[str] = ()
    if router.silent:
        silenced = _EVERYTHING
    elif not router.tells_mtu:
        silenced = _TOO_BIG
    output = [f"{messages} drop" for messages in silenced]
    return (
        "table inet router {\n"
        f"  chain through {{ type filter hook forward priority 0;\n{_lines(forward)}  }}\n"
        f"  chain out {{ type filter hook output priority 0;\n{_lines(output)}  }}\n}}\n"
    )


def _marks(device: str, dscp: int | None) -> list[str]:
    if dscp is None:
        return []
    return [f'iifname "{device}" ip dscp set {dscp}', f'iifname "{device}" ip6 dscp set {dscp}']


def _lines(rules: Iterable[str]) -> str:
    return "".join(f"    {rule}\n" for rule in rules)
