import pytest

from wire import ip_layer
from wire.records import Layer


@pytest.mark.parametrize(
    ("layer", "ip_bps"),
    [
        (Layer.IP, 8e6),
        (Layer.ETHERNET, 7.905e6),
        (Layer.ETHERNET_WITHOUT_FCS, 7.926e6),
        (Layer.VLAN, 7.884e6),
        (Layer.PPPOE, 7.864e6),
        (Layer.ATM_PPPOA, 7.0755e6),
        (Layer.ATM_PPPOE, 6.8611e6),
        (Layer.TCP, 8.287e6),
    ],
)
def test_a_contract_of_eight_megabits_at_each_layer(layer: Layer, ip_bps: float) -> None:
    assert ip_layer.ip_rate(8e6, layer) == pytest.approx(ip_bps, abs=500)


def test_full_packets_take_1518_bytes_of_ethernet_and_carry_1448_of_tcp() -> None:
    assert ip_layer.TCP_PAYLOAD_BYTES == 1448
    assert ip_layer.ip_rate(1518, Layer.ETHERNET) == ip_layer.ip_rate(1448, Layer.TCP) == 1500


@pytest.mark.parametrize(
    ("layer", "packet_bytes", "carried"),
    [
        (Layer.IP, 125, 125), (Layer.ETHERNET, 125, 143), (Layer.ETHERNET, 1250, 1268),
        (Layer.ETHERNET_WITHOUT_FCS, 125, 139), (Layer.VLAN, 1250, 1272), (Layer.PPPOE, 1250, 1276),
        # 1,510 bytes are 32 cells, 1,540 are 33; one byte more than 30 cells of payload takes 31.
        (Layer.ATM_PPPOA, 1500, 32 * 53), (Layer.ATM_PPPOE, 1500, 33 * 53), (Layer.ATM_PPPOA, 1431, 31 * 53),
    ],
)  # fmt: skip
def test_headers_weigh_more_on_small_packets(layer: Layer, packet_bytes: int, carried: int) -> None:
    assert ip_layer.layer_bytes(layer, packet_bytes) == carried
    assert ip_layer.ip_rate(carried, layer, packet_bytes) == packet_bytes


def test_every_layer_of_a_contract_has_its_row() -> None:
    assert {*ip_layer.HEADER_BYTES, Layer.TCP} == set(Layer)
