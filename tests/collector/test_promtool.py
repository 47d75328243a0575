"""The pages of metrics, checked by Prometheus' own tool."""

import subprocess

from collector.live.peers import PeerCounters
from collector.model.own_counters import OwnCounters
from collector.model.peer_comparison import PeerMessage
from tests.collector.examples import NOW_US
from tests.collector.incidents import test_current as incidents
from tests.collector.metrics import test_exposition as exposition
from tests.servers import require
from wire.messages.envelope import ReceiptStatus

# Bit/s are what contracts are written in.
ACCEPTED = {
    f'qos_{name}_bits_per_second use base unit "bytes" instead of "bits"'
    for name in ("capacity", "floor", "interface", "interface_speed", "maximum_capacity")
}


def test_it_finds_nothing_but_the_unit_of_contracts() -> None:
    meters, cut = OwnCounters(), incidents.fleet()
    peers = PeerCounters(meters.registry)
    peers.count_message(PeerMessage("pop-1", (ReceiptStatus.COMMITTED,), NOW_US))
    incidents.measure_until(cut, incidents.OTHERS, incidents.CUT_US)
    text = meters.page().decode() + exposition.page(exposition.fleet()) + incidents.text(cut)
    assert "qos_incident_sites{" in text
    ran = subprocess.run(
        [require("promtool"), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert set(ran.stderr.splitlines()) == ACCEPTED
    assert ran.stdout == ""
