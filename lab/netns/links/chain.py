"""Chain of routers between a site and a peer, each in a namespace of its own.

    site ---- r1 ---- r2 ---- r3 ---- far       link n: 10.91.n.1 - 10.91.n.2, fd91::n:1 - fd91::n:2

A router may rewrite DSCP in either direction, have a link with a smaller MTU behind it, or send no ICMP
messages. The path probe and the STAMP probe are compared with these settings.
"""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from lab.netns import names, requirements
from lab.netns.links.link import remove_namespace, remove_stale, tool
from lab.netns.requirements import KernelLinkError

# A router's devices: towards the site, and towards the far end.
NEAR, FAR = "near", "far"

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

    ``mtu``: MTU of the link behind it, at both ends. ``sets_dscp`` and ``sets_dscp_back``: DSCP that it
    writes into packets away from the site and towards it. ``tells_mtu``: it sends "packet too big" messages.
    ``silent``: it sends no ICMP message at all. ``drops_back_above``: size in bytes above which it drops
    packets towards the site.
    """

    mtu: int = ORDINARY_MTU
    sets_dscp: int | None = None
    sets_dscp_back: int | None = None
    tells_mtu: bool = True
    silent: bool = False
    drops_back_above: int | None = None


@dataclass(frozen=True, slots=True)
class ChainSettings:
    """Routers of a chain, from the site's gateway on."""

    routers: tuple[ChainRouter, ...] = field(default=(ChainRouter(),) * 3)


class Chain:
    """Namespaces of a chain, removed after the block. Raises KernelLinkError on entering."""

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
                self._run(name, "sh", "-ec", _switches())
            self._build()
            self._leaving = entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    @property
    def site(self) -> str:
        """Namespace of the site."""
        return self._names[0]

    @property
    def far(self) -> str:
        """Namespace of the peer."""
        return self._names[-1]

    @property
    def routers(self) -> list[str]:
        """Namespaces of the routers, from the site's gateway on."""
        return self._names[1:-1]

    @property
    def far_address(self) -> str:
        """IPv4 address of the peer."""
        return self.hop_addresses()[-1]

    def hop_addresses(self, *, over_ipv6: bool = False) -> list[str]:
        """Return the address from which each hop answers, the far end last."""
        return [_address(link, 2, over_ipv6=over_ipv6) for link in range(1, len(self._names))]

    def inside(self, name: str, *command: str) -> tuple[str, ...]:
        """Return the command line that runs ``command`` inside one of the namespaces."""
        return (requirements.path_of("ip"), "netns", "exec", name, *command)

    def _run(self, name: str, *command: str, stdin: str = "") -> str:
        return tool(*self.inside(name, *command), stdin=stdin)

    def _build(self) -> None:
        for link in range(1, len(self._names)):
            self._join(link)
        last = len(self._names) - 1
        for place, name in enumerate(self._names):
            tool("ip", "-n", name, "-batch", "-", stdin=_routes(place, last, over_ipv6=False))
            tool("ip", "-6", "-n", name, "-batch", "-", stdin=_routes(place, last, over_ipv6=True))
        for name, router in zip(self._names[1:-1], self.settings.routers, strict=True):
            self._run(name, requirements.path_of("nft"), "-f", "-", stdin=_rules(router))

    def _join(self, link: int) -> None:
        """Join a namespace and the next by a veth pair."""
        nearer, farther = self._names[link - 1], self._names[link]
        mtu = self.settings.routers[link - 2].mtu if link > 1 else ORDINARY_MTU
        peer = f"peer name {NEAR} mtu {mtu} address {_mac(link, 2)} netns {farther}"
        made = f"link add {FAR} mtu {mtu} address {_mac(link, 1)} type veth {peer}\n"
        tool("ip", "-n", nearer, "-batch", "-", stdin=made + _up(link, 1, FAR))
        tool("ip", "-n", farther, "-batch", "-", stdin=_up(link, 2, NEAR))


def _switches() -> str:
    files = ((f"/proc/sys/net/{file}", value) for file, value in _SWITCHES.items())
    return "\n".join(f"[ ! -e {file} ] || echo {value} > {file}" for file, value in files)


def _address(link: int, side: int, *, over_ipv6: bool) -> str:
    return f"fd91::{link}:{side}" if over_ipv6 else f"10.91.{link}.{side}"


def _network(link: int, *, over_ipv6: bool) -> str:
    return f"fd91::{link}:0/112" if over_ipv6 else f"10.91.{link}.0/24"


def _mac(link: int, side: int) -> str:
    return f"02:00:00:00:{link:02x}:{side:02x}"


def _up(link: int, side: int, device: str) -> str:
    other, mac = 3 - side, _mac(link, 3 - side)
    return "\n".join((
        "link set lo up",
        f"address add {_address(link, side, over_ipv6=False)}/24 dev {device}",
        f"address add {_address(link, side, over_ipv6=True)}/112 dev {device} nodad",
        f"link set {device} up",
        # Permanent neighbours: their resolution would delay, and over IPv6 lose, the first packets.
        f"neighbour add {_address(link, other, over_ipv6=False)} lladdr {mac} dev {device} nud permanent",
        f"neighbour add {_address(link, other, over_ipv6=True)} lladdr {mac} dev {device} nud permanent",
        "",
    ))  # fmt: skip


def _routes(place: int, last: int, *, over_ipv6: bool) -> str:
    """Return routes of one namespace: the default leads away from the site, networks behind it lead back."""
    back = _address(place, 1, over_ipv6=over_ipv6)
    if place == last:
        return f"route add default via {back}\n"
    lines = [f"route add {_network(link, over_ipv6=over_ipv6)} via {back}" for link in range(1, place)]
    return "\n".join([*lines, f"route add default via {_address(place + 1, 2, over_ipv6=over_ipv6)}", ""])


def _rules(router: ChainRouter) -> str:
    """Return input of ``nft -f -`` inside the router: DSCP in forwarded packets, drops of its own ICMP
    messages.
    """
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
