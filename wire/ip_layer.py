"""Bytes between a payload and the IP layer, where every rate and byte count is stated (RFC 9097 section 5).

These numbers exist only here. Headers have no options and no extension headers, except TCP's timestamps.
"""

import math

from wire.records.vocabulary import Layer

# IP and UDP headers: IP-layer bytes = UDP payload + these.
IPV4_UDP_BYTES, IPV6_UDP_BYTES = 28, 48

# Bytes that an interface's counters add to each IP packet; the frame check sequence is not counted.
ETHERNET_HEADER_BYTES = 14

# IP packet for which a contract's rate is converted: Ethernet's largest (IEEE 802.3 clause 3.2.7). The ratio
# between layers depends on the packet size. A contract names none, and a download has full packets.
FULL_PACKET_BYTES = 1500

# Frame check sequence (IEEE 802.3 clause 3.2.9).
ETHERNET_FCS_BYTES = 4

# Tag of a virtual LAN (IEEE 802.1Q clause 9.6).
VLAN_TAG_BYTES = 4

# PPPoE header and PPP protocol number (RFC 2516 section 4).
PPPOE_BYTES = 8

# Cell and its payload (ITU-T I.361).
ATM_CELL_BYTES, ATM_PAYLOAD_BYTES = 53, 48

# Trailer of a frame in cells (ITU-T I.363.5). The last cell is padded.
AAL5_TRAILER_BYTES = 8

# The rate that the user of a download reads. Benchmarks compare iperf3's goodput with the floor by it, too.
# IPv4 header, TCP header, and the timestamps option with its padding (RFC 7323 appendix A).
TCP_PAYLOAD_BYTES = FULL_PACKET_BYTES - 20 - 20 - 12

_FRAME = ETHERNET_HEADER_BYTES + ETHERNET_FCS_BYTES

# Bytes of a layer beyond an IP packet, before these are cut into cells. Frames are without preamble, start
# delimiter and the gap between them. PPPoA is VC-multiplexed (RFC 2364 section 6.1). PPPoE over ATM is
# bridged with LLC and without check sequence (RFC 2684 section 5.2).
HEADER_BYTES = {
    Layer.IP: 0,
    Layer.ETHERNET: _FRAME,
    Layer.ETHERNET_WITHOUT_FCS: ETHERNET_HEADER_BYTES,
    Layer.VLAN: _FRAME + VLAN_TAG_BYTES,
    Layer.PPPOE: _FRAME + PPPOE_BYTES,
    Layer.ATM_PPPOA: 2 + AAL5_TRAILER_BYTES,
    Layer.ATM_PPPOE: 10 + ETHERNET_HEADER_BYTES + PPPOE_BYTES + AAL5_TRAILER_BYTES,
}

_IN_CELLS = (Layer.ATM_PPPOA, Layer.ATM_PPPOE)


def layer_bytes(layer: Layer, packet_bytes: float) -> float:
    """Bytes at ``layer`` of an IP packet of this size, or of the mean size of several. TCP is a share."""
    if layer is Layer.TCP:
        return packet_bytes * TCP_PAYLOAD_BYTES / FULL_PACKET_BYTES
    framed = packet_bytes + HEADER_BYTES[layer]
    return math.ceil(framed / ATM_PAYLOAD_BYTES) * ATM_CELL_BYTES if layer in _IN_CELLS else framed


def ip_rate(contract_bps: float, layer: Layer, packet_bytes: float = FULL_PACKET_BYTES) -> float:
    """Convert a contract's rate at ``layer`` to the IP-layer rate in bit/s, for packets of this size."""
    return contract_bps * packet_bytes / layer_bytes(layer, packet_bytes)
