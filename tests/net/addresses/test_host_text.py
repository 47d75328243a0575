"""Hosts as people write them."""

import pytest

from net.addresses.host_text import host_problem

ALONE = "write the host alone; the port is a setting of its own"
NUMBERS = "not an address: four numbers of 0 to 255 without leading zeros"


@pytest.mark.parametrize("host", [
    "broker.example", "broker", "peer.example.", "p-1_a", "10.0.0.1", "::1", "fe80::1%eth0", "1.example",
])  # fmt: skip
def test_names_and_addresses(host: str) -> None:
    assert host_problem(host) is None


@pytest.mark.parametrize(("host", "problem"), [
    ("mqtt://broker.example", "write the host alone, without mqtt:// or the like"),
    ("mqtts://[::1]:8883", "write the host alone, without mqtt:// or the like"),
    ("[::1]", "write the address without brackets; the port is a setting of its own"),
    ("[2001:db8::1]:8883", "write the address without brackets; the port is a setting of its own"),
    ("broker.example:8883", ALONE), ("10.0.0.1:1883", ALONE),
    ("192.168.001.010", NUMBERS), ("010.0.0.1", NUMBERS), ("10.1", NUMBERS), ("0x7f.1", NUMBERS),
    ("256.1.1.1", NUMBERS), ("3232235521", NUMBERS),
    ("a b", "neither a host name nor an address"), ("a..b", "neither a host name nor an address"),
    ("broker.example/x", "neither a host name nor an address"), ("", "neither a host name nor an address"),
    ("bröker", "neither a host name nor an address"),
])  # fmt: skip
def test_what_is_neither_has_its_remedy(host: str, problem: str) -> None:
    assert host_problem(host) == problem
