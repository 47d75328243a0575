"""A wire's log by value."""

from lab.namespaces.passages import Passage, Sighting, passages


def entering(at: int, head: bytes, ip_bytes: int = 100) -> Sighting:
    return Sighting(at, True, ip_bytes, head)


def leaving(at: int, head: bytes, ip_bytes: int = 100) -> Sighting:
    return Sighting(at, False, ip_bytes, head)


def test_a_packet_is_found_again_by_its_bytes_also_when_it_was_overtaken() -> None:
    seen = [entering(0, b"a"), entering(10, b"b"), leaving(30, b"b"), leaving(45, b"a")]
    found = passages(seen)
    assert found == [Passage(0, 45, 100, b"a"), Passage(10, 30, 100, b"b")]
    assert [one.delay_ns for one in found] == [45, 20]


def test_copies_leave_in_the_order_in_which_they_came() -> None:
    seen = [entering(0, b"a"), entering(1, b"a"), entering(2, b"a", 60), leaving(5, b"a"), leaving(9, b"a")]
    assert [one.left_ns for one in passages(seen)] == [5, 9, None]


def test_what_is_still_inside_has_no_delay() -> None:
    [one] = passages([entering(0, b"a")])
    assert (one.left_ns, one.delay_ns) == (None, None)


def test_what_was_not_seen_to_enter_is_left_out() -> None:
    assert passages([leaving(5, b"a"), entering(6, b"a"), leaving(8, b"a")]) == [Passage(6, 8, 100, b"a")]
