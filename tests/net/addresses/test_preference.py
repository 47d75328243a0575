"""Order in which the addresses of a host are tried."""

import pytest

from net.addresses.preference import MOST_ADDRESSES, AddressPreference, family_name, is_address

SIX, OTHER_SIX, FOUR, OTHER_FOUR, LIE = (
    "2001:db8::1", "2001:db8::2", "192.0.2.1", "192.0.2.2", "192.168.1.1"
)  # fmt: skip


def test_untried_families_take_turns_and_ipv6_is_first() -> None:
    known = AddressPreference([FOUR, OTHER_FOUR, SIX, OTHER_SIX])
    assert known.candidates() == (SIX, FOUR, OTHER_SIX, OTHER_FOUR)


def test_what_works_stays_first_also_when_the_other_family_works_again() -> None:
    known = AddressPreference([SIX, FOUR])
    known.prove(FOUR)
    assert known.candidates() == (FOUR, SIX)
    known.prove(SIX)
    assert known.candidates() == (FOUR, SIX)
    known.fail(FOUR)
    assert known.candidates() == (SIX, FOUR)
    known.prove(FOUR)
    assert known.candidates() == (SIX, FOUR)


def test_a_lie_displaces_no_address_that_works() -> None:
    known = AddressPreference([FOUR])
    known.prove(FOUR)
    for _ in range(3):
        known.take_answer([LIE])
        assert known.candidates() == (FOUR, LIE)
        known.fail(LIE)
        assert known.candidates() == (FOUR, LIE)
    known.take_answer([])
    assert known.candidates() == (FOUR,)


def test_a_host_that_moved_is_found_when_its_new_address_proves_itself() -> None:
    known = AddressPreference([FOUR], proved=[FOUR])
    known.take_answer([OTHER_FOUR])
    assert known.candidates() == (FOUR, OTHER_FOUR)
    known.prove(OTHER_FOUR)
    assert known.candidates() == (OTHER_FOUR, FOUR)


def test_failed_addresses_are_tried_in_turn() -> None:
    known = AddressPreference([SIX, FOUR])
    known.fail(SIX)
    assert known.candidates() == (FOUR, SIX)
    known.fail(FOUR)
    assert known.candidates() == (SIX, FOUR)


def test_what_is_kept_is_bounded() -> None:
    many = [f"192.0.2.{number}" for number in range(1, 30)]
    known = AddressPreference(many)
    assert known.candidates() == tuple(many[:MOST_ADDRESSES])
    for address in many:
        known.prove(address)
    assert len(known.proved) == MOST_ADDRESSES
    assert known.proved[-1] == many[-1]
    assert len(known.candidates()) == MOST_ADDRESSES


@pytest.mark.parametrize(
    ("text", "right"), [(SIX, True), (FOUR, True), ("fe80::1%eth0", True), ("peer.test", False), ("", False)]
)
def test_an_address_is_told_from_a_name(text: str, right: bool) -> None:
    assert is_address(text) is right


def test_families_have_names() -> None:
    assert (family_name(SIX), family_name(FOUR)) == ("IPv6", "IPv4")
