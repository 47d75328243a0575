import pytest
from msgspec.structs import replace

from agent.probes.interface.figures import figures
from wire.records import InterfaceFlow, InterfaceValues, LineCounters

DOWN = InterfaceFlow(ip_bytes=45_000_000, packets=1, mean_bps=6e6, peak_bps=12.5e6, errors=0, drops=0)
UP = InterfaceFlow(ip_bytes=1, packets=1, mean_bps=2e5, peak_bps=4e5)
VALUES = InterfaceValues(
    source=LineCounters.INLINE,
    interface="eth0",
    readings=6,
    reading_us=10_000_000,
    end_boot_us=1,
    span_us=60_000_000,
    down=DOWN,
    up=UP,
    carrier=True,
    carrier_losses=0,
)
RATES = "down 6.00 (peak 12.50) Mbit/s, up 0.20 (peak 0.40) Mbit/s"


@pytest.mark.parametrize(("values", "text"), [
    (VALUES, f"{RATES}, eth0 over 60 s"),
    (replace(VALUES, down=replace(DOWN, errors=3, drops=4)),
     f"{RATES}, errors down 3 up -, drops down 4 up -, eth0 over 60 s"),
    (replace(VALUES, carrier=False, carrier_losses=2, resets=1),
     f"{RATES}, link lost 2 times, no link, counters restarted 1 time, eth0 over 60 s"),
])  # fmt: skip
def test_an_interface_as_a_person_reads_it(values: InterfaceValues, text: str) -> None:
    assert figures(values) == text
