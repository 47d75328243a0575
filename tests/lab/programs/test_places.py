"""Free addresses and ports on loopback."""

import socket

import pytest

from lab.programs import places
from lab.programs.places import NoRoomError, claim


def test_addresses_are_free_again_after_the_claim() -> None:
    with claim(1) as one:
        pass
    host = one.links[0].rpartition(".")[0] + ".1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((host, places.CLAIM_PORT))


def test_a_machine_without_free_addresses_is_reported_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "THIRD_OCTETS", ())
    with pytest.raises(NoRoomError, match="ip link set lo up"), claim(1):
        pass
