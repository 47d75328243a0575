"""What the programs are told to build a link: for ``ip -batch``, ``tc`` and ``nft``."""

from lab.netns.names import End
from lab.netns.places import ADDRESSES, GATEWAYS, INTERFACE, LEAVES_BY, WIRE_TABLES, WIRES
from lab.netns.settings import KernelLineSettings, KernelLinkSettings, WirePlace
from wire.ip_layer import ETHERNET_HEADER_BYTES
from wire.records import Direction

UNLIMITED_QUEUE = 64 * 2**20
WIRE_MTU = 1500
WIRE_PACKETS = 10_000
"""What may wait for the wire's process: 1 s of 100 Mbit/s, so that it drops nothing itself."""
PARTS_PER_MILLION = 10**6

SWITCHES = {
    # Router solicitations would be counted with the traffic.
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    # A new namespace refuses unprivileged ICMP sockets (1 0).
    "ipv4/ping_group_range": "0 2147483647",
    "ipv4/ip_forward": "1",
    # What leaves a wire comes from an address that is routed elsewhere.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
}


def devices(router: str, end: End) -> str:
    """For ``ip -n <site or far> -batch -``: its half of the veth pair, joined to the namespace ``router``.

    Packets cross one at a time (``gso_max_segs 1``), as they cross a real line: loss would otherwise take up
    to 64 at once, interface counters count them as one, and tbf forget the header it was told to leave out.
    Neighbours are permanent, so that no ARP is counted, lost or queued.
    """
    segments = "gso_max_segs 1"
    far_half = f"peer name {end} {segments} address {_mac(end, 1)} netns {router}"
    return "\n".join((
        "link set lo up",
        f"link add {INTERFACE} {segments} address {_mac(end, 2)} type veth {far_half}",
        f"address add {ADDRESSES[end]}/24 dev {INTERFACE}",
        f"link set {INTERFACE} up",
        f"neighbour add {GATEWAYS[end]} lladdr {_mac(end, 1)} dev {INTERFACE} nud permanent",
        f"route add default via {GATEWAYS[end]}",
        "",
    ))  # fmt: skip


def router_devices() -> str:
    """For ``ip -n <router> -batch -``, once both ends are joined to it."""
    lines = ["link set lo up"]
    for end, gateway in GATEWAYS.items():
        lines += [
            f"address add {gateway}/24 dev {end}",
            f"link set {end} up",
            f"neighbour add {ADDRESSES[end]} lladdr {_mac(end, 2)} dev {end} nud permanent",
        ]
    return "\n".join([*lines, ""])


def wire(direction: Direction) -> str:
    """For ``ip -n <router> -batch -``: what arrives for this direction goes through its wire.

    What the wire gives back arrives by another device, so the rule does not apply a second time.
    """
    device, table = WIRES[direction], WIRE_TABLES[direction]
    return "\n".join((
        f"link set {device} mtu {WIRE_MTU} txqueuelen {WIRE_PACKETS} up",
        f"route add default dev {device} table {table}",
        f"rule add iif {arrives_by(direction)} lookup {table}",
        "",
    ))  # fmt: skip


def queue_device(direction: Direction, line: KernelLineSettings) -> str:
    """The router's device that has the queue: what is before the wire waits at its mouth."""
    behind = line.wired and line.wire_place is WirePlace.AFTER_QUEUE
    return WIRES[direction] if behind else LEAVES_BY[direction]


def queue(direction: Direction, line: KernelLineSettings) -> tuple[str, ...]:
    """Arguments of ``tc -n <router>``.

    ``stab overhead`` takes the Ethernet header out of all lengths: rate, bucket, limit and the byte counter
    are of the IP layer, whatever the size of a packet.
    """
    device = queue_device(direction, line)
    head: tuple[str, ...] = ("qdisc", "replace", "dev", device, "root", "handle", "1:")
    if device != WIRES[direction]:  # a TUN device has no Ethernet header
        head += ("stab", "overhead", str(-ETHERNET_HEADER_BYTES), "linklayer", "ethernet")
    if line.rate is None:
        return (*head, "bfifo", "limit", str(UNLIMITED_QUEUE))
    return (*head, "tbf", "rate", f"{line.rate}bit", "burst", str(line.bucket), "limit", str(line.limit))


def fates(settings: KernelLinkSettings) -> str:
    """For ``nft -f -`` inside the router: random loss and duplication; empty when there is neither.

    The rules carry the direction as their comment, by which their counters are found again.
    """
    lines = {Direction.DOWN: settings.down, Direction.UP: settings.up}
    loss = [
        f'    iifname "{arrives_by(direction)}" {_sometimes(line.loss)} counter drop comment "{direction}"\n'
        for direction, line in lines.items()
        if line.loss
    ]
    text = "".join(_duplicating(direction, line) for direction, line in lines.items())
    if loss:
        hook = "    type filter hook prerouting priority 0; policy accept;\n"
        text += f"table inet loss {{\n  chain arriving {{\n{hook}{''.join(loss)}  }}\n}}\n"
    return text


def _duplicating(direction: Direction, line: KernelLineSettings) -> str:
    if not line.duplication:
        return ""
    device = queue_device(direction, line)
    return (
        f"table netdev duplication_{direction} {{\n  chain leaving {{\n"
        f'    type filter hook egress device "{device}" priority 0; policy accept;\n'
        f"    meta protocol ip {_sometimes(line.duplication)} counter dup to "
        f'"{device}" comment "{direction}"\n  }}\n}}\n'
    )


def _sometimes(probability: float) -> str:
    return f"numgen random mod {PARTS_PER_MILLION} < {round(probability * PARTS_PER_MILLION)}"


def arrives_by(direction: Direction) -> End:
    """The router's device at which a direction arrives."""
    return LEAVES_BY[Direction.UP if direction is Direction.DOWN else Direction.DOWN]


def _mac(end: End, side: int) -> str:
    """A locally administered address: side 1 is the router's."""
    return f"02:00:00:00:{1 if end is End.SITE else 2:02x}:{side:02x}"
