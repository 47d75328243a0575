"""A link on real loopback sockets."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.links.interface_counters import InterfaceCounters
from lab.links.line import LineSettings
from lab.links.link import EmulatedLink, LinkSettings
from tests.lab.conftest import End, until

MILLISECOND = 10**6
MakeEnd = Callable[..., End]
StartLink = Callable[..., EmulatedLink]


@pytest.fixture
def counters() -> InterfaceCounters:
    return InterfaceCounters()


def setup_response(test_port: int, code: int = 1) -> bytes:
    """A Setup Response as RFC 9946 §6.2.2 lays it out; nothing on the way can check its digest."""
    return struct.pack(
        "!HHBBHBBHHBBI32sBBH", 0xACE1, 20, 0, 1, 7, 2, code, 0, test_port, 1, 1, 0, b"", 7, 0, 0
    )


def test_what_the_site_sends_comes_back_from_where_it_was_sent(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, peer = end(), end()
    start_link(peer.port, counters=counters)
    site.send(b"question", (address, peer.port))
    payload, source, _ = peer.receive()
    assert payload == b"question"
    peer.send(b"answer", source)
    assert site.receive()[:2] == (b"answer", (address, peer.port))


def test_the_delay_of_both_directions_is_in_the_round_trip(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, peer = end(), end()
    start_link(
        peer.port,
        down=LineSettings(delay=30 * MILLISECOND),
        up=LineSettings(delay=10 * MILLISECOND),
        counters=counters,
    )
    began = time.monotonic()
    site.send(b"question", (address, peer.port))
    peer.send(b"answer", peer.receive()[1])
    site.receive()
    assert time.monotonic() - began >= 0.040


def test_an_announced_test_port_is_held_and_the_client_keeps_one_face(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, control, test = end(), end(), end()
    start_link(control.port, counters=counters)
    site.send(b"setup", (address, control.port))
    _, seen_at_control, _ = control.receive()
    control.send(setup_response(test.port), seen_at_control)
    assert site.receive()[:2] == (setup_response(test.port), (address, control.port))
    site.send(b"activation", (address, test.port))
    payload, seen_at_test, _ = test.receive()
    assert (payload, seen_at_test) == (b"activation", seen_at_control)
    test.send(b"load", seen_at_test)
    assert site.receive()[:2] == (b"load", (address, test.port))


def test_a_null_request_may_overtake_the_setup_response(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, control, test = end(), end(), end()
    start_link(control.port, counters=counters)
    site.send(b"setup", (address, control.port))
    client = control.receive()[1]
    null = b"\xde\xad\x00\x14\x01" + bytes(43)
    test.send(null, client)
    assert site.receive()[:2] == (null, (address, test.port))


def test_what_belongs_to_no_conversation_is_not_relayed(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, control, unknown, stranger = end(), end(), end(), end("127.0.0.9")
    link = start_link(control.port, counters=counters)
    site.send(b"setup", (address, control.port))
    client = control.receive()[1]
    control.send(setup_response(unknown.port, code=8), client)
    assert site.receive()[0] == setup_response(unknown.port, code=8)
    unknown.send(b"from an unannounced port", client)
    stranger.send(setup_response(unknown.port), client)
    until(lambda: link.report().stray == 2)
    control.send(b"last", client)
    assert site.receive()[0] == b"last"


def test_two_clients_have_two_faces(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    first, second, peer = end(), end(), end()
    start_link(peer.port, counters=counters)
    faces = []
    for site in (first, second):
        site.send(b"who am I", (address, peer.port))
        faces.append(peer.receive()[1])
    for site, face in zip((first, second), faces, strict=True):
        peer.send(repr(face).encode(), face)
        assert site.receive()[0] == repr(face).encode()
    assert faces[0] != faces[1]


def test_dscp_and_ecn_cross_the_link_and_are_rewritten_only_where_asked(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, peer = end(), end()
    start_link(peer.port, down=LineSettings(dscp_rewrite={46: 8}), counters=counters)
    site.send(b"expedited", (address, peer.port), tos=46 << 2 | 1)
    _, client, tos = peer.receive()
    assert tos == 46 << 2 | 1
    peer.send(b"answer", client, tos=46 << 2 | 2)
    assert site.receive()[2] == 8 << 2 | 2
    peer.send(b"best effort", client)
    assert site.receive()[2] == 0


def test_the_line_counters_say_what_crossed_at_the_sites_side(
    end: MakeEnd, start_link: StartLink, address: str, tmp_path: Path
) -> None:
    site, peer = end(), end()
    with InterfaceCounters(tmp_path / "statistics") as counters:
        link = start_link(peer.port, up=LineSettings(loss=0.5, seed=1), counters=counters)
        for _ in range(20):
            site.send(bytes(100), (address, peer.port))
        until(lambda: link.report().up.offered_packets == 20)
        client = peer.receive()[1]
        for _ in range(3):
            peer.send(bytes(200), client)
            site.receive()

        def published() -> dict[str, int]:
            return {file.name: int(file.read_text()) for file in (tmp_path / "statistics").iterdir()}

        crossed = {
            "rx_packets": 3,
            "rx_bytes": 3 * (200 + 28 + 14),
            "tx_packets": 20,
            "tx_bytes": 20 * (100 + 28 + 14),
        }
        until(lambda: published() == crossed)
        assert 0 < link.report().up.delivered_packets < 20


def test_reordering_and_duplication_are_seen_at_the_far_end(
    end: MakeEnd, start_link: StartLink, address: str, counters: InterfaceCounters
) -> None:
    site, peer = end(), end()
    up = LineSettings(reordering=0.2, reordering_delay=5 * MILLISECOND, duplication=0.2, seed=3)
    link = start_link(peer.port, up=up, counters=counters)
    for number in range(50):
        site.send(bytes([number]), (address, peer.port))
    until(lambda: link.report().up.offered_packets == 50)
    copies = link.report().up.duplicated_packets
    arrived = [peer.receive()[0][0] for _ in range(50 + copies)]
    assert copies > 0
    assert sorted(set(arrived)) == list(range(50))
    assert arrived != sorted(arrived)


@pytest.mark.parametrize(("listen", "peer", "ports", "message"), [
    ("10.0.0.1", "127.0.0.1", (9,), "a link listens on loopback only (127.0.0.0/8), not on 10.0.0.1"),
    ("127.0.0.1", "127.0.0.1", (9,), "the link and the peer cannot both have the address 127.0.0.1"),
    ("127.0.1.5", "127.0.0.1", (), "name the peer's ports, each between 1 and 65535"),
    ("127.0.1.5", "127.0.0.1", (65536,), "name the peer's ports, each between 1 and 65535"),
])  # fmt: skip
def test_impossible_links_are_named(listen: str, peer: str, ports: tuple[int, ...], message: str) -> None:
    assert LinkSettings(listen, peer, ports, LineSettings(), LineSettings()).faults() == (message,)
