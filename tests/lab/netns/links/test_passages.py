"""Matching of sightings to passages."""

import pytest

from lab.netns.links.passages import Passage, Sighting, passages


def entering(at: int, head: bytes, ip_bytes: int = 100) -> Sighting:
    return Sighting(at, False, ip_bytes, head)


def leaving(at: int, head: bytes, ip_bytes: int = 100) -> Sighting:
    return Sighting(at, True, ip_bytes, head)


def test_an_overtaken_packet_is_matched_by_its_bytes() -> None:
    seen = [entering(0, b"a"), entering(10, b"b"), leaving(30, b"b"), leaving(45, b"a")]
    found = passages(seen)
    assert found == [Passage(0, 45, 100, b"a"), Passage(10, 30, 100, b"b")]
    assert [one.delay_ns for one in found] == [45, 20]


def test_copies_leave_in_their_order_of_arrival() -> None:
    seen = [entering(0, b"a"), entering(1, b"a"), entering(2, b"a", 60), leaving(5, b"a"), leaving(9, b"a")]
    assert [one.left_ns for one in passages(seen)] == [5, 9, None]


def test_an_exit_without_entry_is_left_out() -> None:
    assert passages([leaving(5, b"a"), entering(6, b"a"), leaving(8, b"a")]) == [Passage(6, 8, 100, b"a")]


@pytest.mark.parametrize(("protocol", "place"), [(17, 26), (6, 36)])
def test_a_changed_transport_checksum_is_ignored(protocol: int, place: int) -> None:
    came = bytearray(60)
    came[9] = protocol
    went = bytearray(came)
    went[place : place + 2] = b"\x12\x34"
    assert passages([entering(0, bytes(came)), leaving(5, bytes(went))])[0].delay_ns == 5
    went[place + 2] = 1
    assert passages([entering(0, bytes(came)), leaving(5, bytes(went))])[0].delay_ns is None


def test_a_changed_time_to_live_is_ignored() -> None:
    came = bytes.fromhex("450000540000400040012a110a5a01020a5a0202") + b"payload"
    went = bytes.fromhex("45000054000040003e012c110a5a01020a5a0202") + b"payload"
    other = went[:-1] + b"!"
    assert passages([entering(0, came), leaving(4, other), leaving(5, went)]) == [Passage(0, 5, 100, came)]
