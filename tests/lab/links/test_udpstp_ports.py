"""Test port of a captured Setup Response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.links.udpstp_ports import announced_test_port, is_null_request

REQUEST = bytes.fromhex(
    "ace100140001677201000000000001016b034357"
    "f3513e741a73cae8c72c585ba4f2f6164bedc2e0feba8023ccaf350aca3e27a607000000"
)
RESPONSE = bytes.fromhex(
    "ace100140001677202010000ac3601016b034357"
    "3acb3166508ca9d67ef7838e58216660cdb8283c0a51e2e1c2e05cc230a1b5a007000000"
)
NULL = bytes.fromhex(
    "dead0014010000016b0343578d41a0d5187f8d7ce6c11b89b4461088c05531a04f085aa65c31c118ae9d39fe07000000"
)


def test_the_captured_response_announces_its_port() -> None:
    assert announced_test_port(RESPONSE) == 44086


@pytest.mark.parametrize(
    "other",
    [REQUEST, NULL, RESPONSE[:-1], RESPONSE + b"\0", b"", RESPONSE[:9] + b"\x08" + RESPONSE[10:],
     RESPONSE[:12] + b"\0\0" + RESPONSE[14:]],
    ids=["request", "null", "short", "long", "empty", "refused", "port 0"],
)  # fmt: skip
def test_nothing_else_announces_a_port(other: bytes) -> None:
    assert announced_test_port(other) is None


@given(st.binary(max_size=80))
def test_any_datagram_is_read_without_an_error(payload: bytes) -> None:
    port = announced_test_port(payload)
    assert port is None or 0 < port < 65536
    assert is_null_request(payload) in (True, False)
