"""Addresses and ports on loopback that nobody else uses."""

import socket

import pytest

from lab.programs import places
from lab.programs.places import NoRoomError, claim


def test_every_claim_has_addresses_of_its_own() -> None:
    with claim(2) as one, claim(2) as other:
        assert not set(one.links) & set(other.links)
        assert len({one.broker_port, one.page_port}) == len({one.control_port, one.stamp_port}) == 2


def test_addresses_are_free_again_after_the_claim() -> None:
    with claim(1) as one:
        pass
    host = one.links[0].rpartition(".")[0] + ".1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((host, places.CLAIM_PORT))


def test_no_free_addresses_are_told_with_their_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "THIRD_OCTETS", ())
    with pytest.raises(NoRoomError, match="ip link set lo up"), claim(1):
        pass
