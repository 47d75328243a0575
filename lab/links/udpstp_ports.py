"""Fields of an RFC 9946 set-up that a relay has to read."""

import struct

SETUP_PDU_ID, NULL_PDU_ID = 0xACE1, 0xDEAD
SETUP_BYTES, NULL_BYTES = 56, 48
_SETUP_HEAD = struct.Struct("!HHBBHBBHH")


def announced_test_port(payload: bytes) -> int | None:
    """Return the test port of an accepting Setup Response (RFC 9946 §6.2.2), None for any other datagram.

    The digest cannot be checked here: the relay has no key. A wrong port only opens a loopback socket of this
    link.
    """
    if len(payload) != SETUP_BYTES:
        return None
    pdu_id, _, _, _, _, request, response, _, port = _SETUP_HEAD.unpack_from(payload)
    accepted = pdu_id == SETUP_PDU_ID and request == 2 and response == 1
    return port if accepted and port else None


def is_null_request(payload: bytes) -> bool:
    """Return whether this is a Null Request, which may overtake the Setup Response (RFC 9946 §6.2.2)."""
    return len(payload) == NULL_BYTES and payload[:2] == NULL_PDU_ID.to_bytes(2)
