"""Input for ``ip -batch``, ``tc`` and ``nft`` that builds a link."""

from lab.netns.names import LinkNode
from lab.netns.places import ADDRESSES, GATEWAYS, INTERFACE, LEAVES_BY, WIRE_TABLES, WIRES
from lab.netns.settings import KernelLineSettings, KernelLinkSettings, WirePlace
from wire.ip_layer import ETHERNET_HEADER_BYTES
from wire.records import Direction

UNLIMITED_QUEUE = 64 * 2**20
WIRE_MTU = 1500
# 1 s of 100 Mbit/s may wait for the process of a wire: the device itself then drops nothing.
WIRE_PACKETS = 10_000
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


def devices(router: str, end: LinkNode) -> str:
    """Return input of ``ip -n <site or far> -batch -``: a veth pair joined to the namespace ``router``."""
    # Packets cross one at a time, as on a real line. With segmentation offload one loss would take up to 64
    # packets, interface counters would count them as one, and tbf would subtract only one header.
    segments = "gso_max_segs 1"
    far_half = f"peer name {end} {segments} address {_mac(end, 1)} netns {router}"
    return "\n".join((
        "link set lo up",
        f"link add {INTERFACE} {segments} address {_mac(end, 2)} type veth {far_half}",
        f"address add {ADDRESSES[end]}/24 dev {INTERFACE}",
        f"link set {INTERFACE} up",
        # Permanent neighbours: no ARP packet is counted, lost or queued.
        f"neighbour add {GATEWAYS[end]} lladdr {_mac(end, 1)} dev {INTERFACE} nud permanent",
        f"route add default via {GATEWAYS[end]}",
        "",
    ))  # fmt: skip


def router_devices() -> str:
    """Return input of ``ip -n <router> -batch -``, for use once both ends are joined to the router."""
    lines = ["link set lo up"]
    for end, gateway in GATEWAYS.items():
        lines += [
            f"address add {gateway}/24 dev {end}",
            f"link set {end} up",
            f"neighbour add {ADDRESSES[end]} lladdr {_mac(end, 2)} dev {end} nud permanent",
        ]
    return "\n".join([*lines, ""])


def wire(direction: Direction) -> str:
    """Return input of ``ip -n <router> -batch -`` that routes a direction through its wire.

    Packets leave the wire by another device than the one they arrived by, and the rule does not apply again.
    """
    device, table = WIRES[direction], WIRE_TABLES[direction]
    return "\n".join((
        f"link set {device} mtu {WIRE_MTU} txqueuelen {WIRE_PACKETS} up",
        f"route add default dev {device} table {table}",
        f"rule add iif {arrives_by(direction)} lookup {table}",
        "",
    ))  # fmt: skip


def queue_device(direction: Direction, line: KernelLineSettings) -> str:
    """Return the router's device with the queue. A queue before the wire is on the wire's own device."""
    behind = line.wired and line.wire_place is WirePlace.AFTER_QUEUE
    return WIRES[direction] if behind else LEAVES_BY[direction]


def queue(direction: Direction, line: KernelLineSettings) -> tuple[str, ...]:
    """Return the arguments of ``tc -n <router>`` for a direction's queue.

    ``stab overhead`` subtracts the Ethernet header from all lengths: rate, bucket, limit and byte counter are
    IP-layer figures for packets of every size.
    """
    device = queue_device(direction, line)
    head: tuple[str, ...] = ("qdisc", "replace", "dev", device, "root", "handle", "1:")
    if device != WIRES[direction]:  # a TUN device has no Ethernet header
        head += ("stab", "overhead", str(-ETHERNET_HEADER_BYTES), "linklayer", "ethernet")
    if line.rate is None:
        return (*head, "bfifo", "limit", str(UNLIMITED_QUEUE))
    return (*head, "tbf", "rate", f"{line.rate}bit", "burst", str(line.bucket), "limit", str(line.limit))


def fates(settings: KernelLinkSettings) -> str:
    """Return input of ``nft -f -`` inside the router: random loss and duplication; empty when there is
    neither.

    The comment of each rule is its direction; the counters are found by it.
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


def arrives_by(direction: Direction) -> LinkNode:
    """Return the router's device at which a direction arrives."""
    return LEAVES_BY[Direction.UP if direction is Direction.DOWN else Direction.DOWN]


def _mac(end: LinkNode, side: int) -> str:
    """Return a locally administered address; side 1 is the router's."""
    return f"02:00:00:00:{1 if end is LinkNode.SITE else 2:02x}:{side:02x}"
