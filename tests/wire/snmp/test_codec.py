import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.asn1.asn1 import ASN1_COUNTER64, ASN1_INTEGER, ASN1_OID, ASN1_STRING, ASN1_TIME_TICKS
from scapy.layers.snmp import SNMP, SNMPbulk, SNMPget, SNMPresponse, SNMPvarbind

from wire.snmp import codec as snmp
from wire.snmp.codec import Binding, Malformed, Missing, Oid, Response

UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
# By hand from X.690 and RFC 3416: version 1 (2c), "public", GetRequest 0x12345678 of sysUpTime.0.
GET = bytes.fromhex(
    "3029 020101 0406 7075626c6963 a01c 0204 12345678 020100 020100 300e 300c 0608 2b06010201010300 0500"
)
# The Response: 77 ticks.
RESPONSE = bytes.fromhex(
    "302a 020101 0406 7075626c6963 a21d 0204 12345678 020100 020100 300f 300d 0608 2b06010201010300 43014d"
)
arcs = st.integers(0, 2**32 - 1)
oids = st.builds(
    lambda first, second, rest: (first, second, *rest),
    st.integers(0, 2),
    st.integers(0, 39),
    st.lists(arcs, max_size=20),
)


def dotted(oid: Oid) -> ASN1_OID:
    return ASN1_OID(".".join(map(str, oid)))


def wrapped(value: bytes) -> bytes:
    """Response with one variable, sysUpTime.0, of this encoded value."""
    variable = b"\x06\x08\x2b\x06\x01\x02\x01\x01\x03\x00" + value
    listed = b"\x30" + bytes([len(variable)]) + variable
    body = b"\x02\x01\x05\x02\x01\x00\x02\x01\x00\x30" + bytes([len(listed)]) + listed
    pdu = b"\xa2" + bytes([len(body)]) + body
    message = b"\x02\x01\x01\x04\x06public" + pdu
    return b"\x30" + bytes([len(message)]) + message


def test_a_request_byte_for_byte() -> None:
    assert snmp.get(b"public", 0x12345678, [UPTIME]) == GET


def test_a_response_is_read() -> None:
    assert snmp.decode(RESPONSE, b"public") == Response(0x12345678, 0, (Binding(UPTIME, 77),))


@given(st.integers(0, snmp.HIGHEST_REQUEST_ID), st.lists(oids, min_size=1, max_size=20))
def test_requests_equal_those_of_an_independent_implementation(request_id: int, asked: list[Oid]) -> None:
    listed = [SNMPvarbind(oid=dotted(oid)) for oid in asked]
    assert snmp.get(b"word", request_id, asked) == bytes(
        SNMP(version=1, community=b"word", PDU=SNMPget(id=request_id, varbindlist=listed))
    )
    bulk = SNMPbulk(id=request_id, non_repeaters=0, max_repetitions=20, varbindlist=listed[:1])
    assert snmp.get_bulk(b"word", request_id, asked[0], 20) == bytes(
        SNMP(version=1, community=b"word", PDU=bulk)
    )


@given(
    oids,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=300),
    st.integers(-(2**31), 2**31 - 1),
)
def test_responses_of_an_independent_implementation_are_read(
    oid: Oid, counter: int, ticks: int, text: bytes, number: int
) -> None:
    values = [ASN1_COUNTER64(counter), ASN1_TIME_TICKS(ticks), ASN1_STRING(text), ASN1_INTEGER(number)]
    listed = [SNMPvarbind(oid=dotted(oid), value=value) for value in (*values, dotted(oid))]
    datagram = bytes(SNMP(version=1, community=b"word", PDU=SNMPresponse(id=7, varbindlist=listed)))
    expected = tuple(Binding(oid, value) for value in (counter, ticks, text, number, oid))
    assert snmp.decode(datagram, b"word") == Response(7, 0, expected)


@pytest.mark.parametrize("reason", list(Missing))
def test_a_missing_value_has_its_reason(reason: Missing) -> None:
    answer = snmp.decode(wrapped(bytes((reason.value, 0))), b"public")
    assert answer.bindings == (Binding(UPTIME, reason),)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("4608ffffffffffffffff", 2**64 - 1),  # a counter without the leading zero that BER wants
        ("460900ffffffffffffffff", 2**64 - 1),
        ("4105 00ffffffff", 2**32 - 1),
        ("4404 0a000001", b"\x0a\x00\x00\x01"),  # Opaque, as its bytes
        ("0500", None),
        ("0281 01ff", -1),  # a longer length than needed is BER, too
    ],
)
def test_values_as_agents_encode_them(value: str, read: object) -> None:
    answer = snmp.decode(wrapped(bytes.fromhex(value)), b"public")
    assert answer.bindings[0].value == read


@pytest.mark.parametrize(("value", "detail"), [
    ("4600", "a counter out of range"),
    ("4609 010000000000000000", "a counter out of range"),
    ("4105 0100000000", "a counter out of range"), ("0200", "an integer of no or too many octets"),
    ("0680", "a length that is not definite, or too long"),
    ("0685 0000000001 01", "a length that is not definite, or too long"),
    ("0602 2b81", "an object identifier that is cut off"),
    ("0600", "an object identifier that is cut off"),
    ("0607 2b 9fffffffff7f", "an object identifier out of range"),
    ("0202 01", "cut off"), ("", "cut off"),
])  # fmt: skip
def test_invalid_values_are_refused_with_a_reason(value: str, detail: str) -> None:
    assert snmp.decode(wrapped(bytes.fromhex(value)), b"public") == Malformed(detail)


@pytest.mark.parametrize(("datagram", "detail"), [
    (b"", "cut off"), (b"\x04\x00", "no SNMP message"), (RESPONSE[:-1], "cut off"), (GET, "no Response"),
    (RESPONSE.replace(b"\x02\x01\x01\x04", b"\x02\x01\x00\x04"), "not SNMP version 2c"),
    (RESPONSE.replace(b"public", b"publik"), "another community"),
])  # fmt: skip
def test_datagrams_that_are_no_response_are_refused_with_a_reason(datagram: bytes, detail: str) -> None:
    assert snmp.decode(datagram, b"public") == Malformed(detail)


def test_a_response_with_too_many_variables_is_refused() -> None:
    listed = [SNMPvarbind(oid=dotted(UPTIME), value=ASN1_INTEGER(1))] * (snmp.MOST_BINDINGS + 1)
    datagram = bytes(SNMP(version=1, community=b"c", PDU=SNMPresponse(id=7, varbindlist=listed)))
    assert snmp.decode(datagram, b"c") == Malformed("more than 256 variables")
