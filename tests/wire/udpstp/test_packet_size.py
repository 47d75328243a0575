"""Loads of one packet size, between two ends of this program and with foreign ones."""

import pytest
from msgspec.structs import replace

from tests.wire.udpstp.simulation import World, plan_for
from wire.records import Direction
from wire.udpstp import pdu
from wire.udpstp.auth import sign
from wire.udpstp.load import Ending, Search
from wire.udpstp.rates import DEFAULT_TABLE, MOST_BURST
from wire.udpstp.reception import Offer

BOTH = pytest.mark.parametrize("direction", list(Direction))


@BOTH
@pytest.mark.parametrize("row", [1, 7, 8, 11, 37])
@pytest.mark.parametrize("packet_bytes", [1250, 1000, 500])
def test_a_fixed_rate_is_sent_in_packets_of_the_size_asked_for(
    direction: Direction, row: int, packet_bytes: int
) -> None:
    report = World().run(plan_for(direction, row=row, seconds=2, packet_bytes=packet_bytes))
    assert (report.ending, report.detail) == (Ending.COMPLETED, "")
    assert report.sent_ip_bytes == report.sent_packets * packet_bytes
    assert report.received_bps == pytest.approx(row * 1e6, rel=0.002 + 0.01 / row)
    assert report.planned_packets == pytest.approx(report.sent_packets, abs=2 * MOST_BURST)


@BOTH
def test_a_search_is_made_of_packets_of_one_size(direction: Direction) -> None:
    world = World()
    world.way(direction).rate = 4e6
    report = world.run(plan_for(direction, row=50, seconds=4, search=Search(), packet_bytes=1250))
    assert report.ending is Ending.COMPLETED
    # Row 0, to which a search falls back at times, has one small packet an interval in every table.
    loads = [one for one in report.intervals if one.datagrams > 10]
    assert len(loads) > 40
    sizes = [one.ip_bytes / one.datagrams for one in loads]
    assert sorted(sizes)[len(sizes) // 10 :] == [1250.0] * (len(sizes) - len(sizes) // 10)


@BOTH
def test_a_foreign_peer_echoes_the_offer_and_sends_by_its_own_table(
    direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    def echo(offer: Offer, code: int, test_port: int, wall: int) -> bytes:
        response = replace(
            offer.setup, command=pdu.RESPONSE, response=code, test_port=test_port, auth_time=wall // 10**9
        )
        return sign(response.pack(), offer.keys.server)

    monkeypatch.setattr(Offer, "_respond", echo)
    monkeypatch.setattr(Offer, "table", DEFAULT_TABLE)
    report = World().run(plan_for(direction, row=8, seconds=1, packet_bytes=1250))
    assert (report.ending, report.detail) == (Ending.COMPLETED, "")
    assert report.sent_ip_bytes == report.sent_packets * 1000


@BOTH
def test_a_foreign_client_gets_the_default_table(direction: Direction) -> None:
    report = World().run(plan_for(direction, row=8, seconds=1))
    assert report.sent_ip_bytes == report.sent_packets * 1000
