import pytest

from wire import ip_layer
from wire.records import Layer


@pytest.mark.parametrize(
    ("layer", "ip_bps"), [(Layer.IP, 8e6), (Layer.ETHERNET, 7.905e6), (Layer.TCP, 8.287e6)]
)
def test_a_contract_of_eight_megabits_at_each_layer(layer: Layer, ip_bps: float) -> None:
    assert ip_layer.ip_rate(8e6, layer) == pytest.approx(ip_bps, abs=500)


def test_full_packets_take_1518_bytes_of_ethernet_and_carry_1448_of_tcp() -> None:
    assert ip_layer.ETHERNET_FRAME_BYTES == 1518
    assert ip_layer.TCP_PAYLOAD_BYTES == 1448
    assert ip_layer.ip_rate(1518, Layer.ETHERNET) == ip_layer.ip_rate(1448, Layer.TCP) == 1500
