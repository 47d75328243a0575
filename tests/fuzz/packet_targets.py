"""Decoders of packets: load tests, STAMP, ICMP and SNMP."""

from agent.probes.path import packets as path_packets
from agent.probes.path.packets import Flow
from tests.agent.probes.path.test_packets import FLOW, FLOW_6, PAYLOAD, ROUTER, ROUTER_6, icmp
from tests.fuzz.running import Target
from tests.wire.snmp.test_codec import RESPONSE, wrapped
from wire.snmp import codec as snmp
from wire.snmp import interface_mib
from wire.stamp import answer, packet, reflector, tlv
from wire.stamp.timestamp import ErrorEstimate
from wire.udpstp import auth, pdu, reception
from wire.udpstp.ends import batches

DATAGRAM = 65_535
KEY, COMMUNITY = b"secret", b"public"
NOW_NS = 1_775_000_000_000_000_000
_ESTIMATE = ErrorEstimate()
_SETUP = pdu.Setup(ident=7, auth_time=NOW_NS // 10**9, key_id=1, bandwidth_mbps=8)
_SIGNED = auth.sign(_SETUP.pack(), auth.derive_keys(KEY, _SETUP.auth_time).client)
_ACTIVATION = pdu.Activation(command=pdu.DOWNSTREAM, row=8, test_s=2, auth_time=1, key_id=1)
_LOAD = pdu.LOAD_HEADER.pack(pdu.LOAD_ID, 0, 0, 1, 1222, 0, 1, 2, 3, 4, 0, 0) + bytes(1190)
_REQUEST = packet.Request(sequence=3, timestamp=1, estimate=_ESTIMATE, ssid=7, extra=b"")
LONG = RESPONSE[:4] + b"\x80" + RESPONSE[5:]
"""Length of no octets, which BER does not allow there."""
_PARSERS = (pdu.parse_setup, pdu.parse_null, pdu.parse_activation, pdu.parse_status)


def _pdus(data: bytes) -> str:
    found = [parse(data) for parse in _PARSERS]
    kinds = [type(one).__name__ for one in found if one is not None]
    assert len(kinds) <= 1, "no PDU is two"
    assert not pdu.is_load(data) or len(data) >= 32
    return f"{kinds} {pdu.is_load(data)}"


def _control_port(data: bytes) -> str:
    """Give a new server one datagram, as it is and with a valid signature."""
    server = reception.Reception({1: KEY})
    outcomes = [server.receive(data, ("192.0.2.1", 9), NOW_NS)]
    if len(data) == pdu.SETUP.size and (setup := pdu.parse_setup(data[:-2] + b"\0\0")) is not None:
        signed = auth.sign(setup.pack(), auth.derive_keys(KEY, setup.auth_time).client)
        outcomes.append(server.receive(signed, ("192.0.2.1", 9), NOW_NS))
    return " ".join(f"{type(one).__name__} {getattr(one, 'code', '')}" for one in outcomes)


def _load_datagrams(data: bytes) -> str:
    size = int.from_bytes(data[:2]) or 1
    runs = list(batches.load_runs(data[2:], size))
    sound = sum(pdu.is_load(piece) for piece in batches.pieces(data[2:], size))
    assert sum(run.count for run in runs) == sound
    return str(min(len(runs), 3))


def _stamp_packets(data: bytes) -> str:
    outcomes = [
        *(
            decode(data, key)
            for decode in (packet.decode_request, packet.decode_reply)
            for key in (None, KEY)
        ),
        packet.decode_reply(data, twamp_light=True),
    ]
    numbers = [packet.sequences(data, authenticated=mode) is None for mode in (False, True)]
    return f"{[str(one) if isinstance(one, packet.PacketFault) else 'read' for one in outcomes]} {numbers}"


def _extensions(data: bytes) -> str:
    tlvs, rest = tlv.decode(data)
    assert tlv.encode(tlvs, rest) == data, "nothing is lost between the TLVs"
    said = [tlv.read_reply(data, 5, key) for key in (None, KEY)]
    for key in (None, KEY):
        terms = answer.TlvContext(3, 4, key, 46 << 2, lambda dscp: dscp < 60, NOW_NS)
        assert len(answer.answer(data, terms).extra) == len(data), "a reply is no longer than its request"
    parts = [type(part).__name__ for one in said for part in (one.class_of_service, one.follow_up)]
    return f"{min(len(tlvs), 3)} {min(len(rest), 1)} {parts}"


def _reflected(data: bytes) -> str:
    serving = reflector.SessionReflector(reflector.ReflectorSettings(keys=(KEY,), open_mode=True))
    arrival = reflector.RequestArrival(NOW_NS, ("192.0.2.1", 9), ("192.0.2.2", 862), 46 << 2, 255)
    found = serving.receive(data, arrival, _ESTIMATE)
    if isinstance(found, reflector.Drop):
        return str(found)
    # A TWAMP Light request may be shorter than the base packet that answers it.
    long = max(len(data), packet.BASE_BYTES)
    assert len(found.encode(NOW_NS)) == long, "a reply is as long as its request"
    return "reflected"


def _icmp(flow: Flow, sender: str) -> "Target":
    def run(data: bytes) -> str:
        found = path_packets.quoted(flow, data, sender)
        return "nothing" if found is None else str(found.answer.kind)

    about = path_packets.packet(flow, 3, 2, PAYLOAD)
    over_6 = [bytes([kind, code, 0, 0, 0, 0, 5, 120]) + about for kind, code in ((3, 0), (1, 4), (2, 0))]
    over_4 = [icmp(kind, code, about[:60], 1400) for kind, code in ((11, 0), (3, 3), (3, 4))]
    if flow.over_ipv6:
        return Target("icmp-v6", run, tuple(over_6), DATAGRAM)
    return Target("icmp-v4", run, tuple(over_4), DATAGRAM)


def _snmp(data: bytes) -> str:
    found = snmp.decode(data, COMMUNITY)
    if isinstance(found, snmp.Malformed):
        return found.detail
    return f"read {type(interface_mib.state(found.bindings, 1)).__name__} {min(len(found.bindings), 2)}"


_REQUESTS = (packet.encode_request(_REQUEST), packet.encode_request(_REQUEST, KEY))
_PDUS = (_SETUP, pdu.Null(auth_time=1, key_id=1), _ACTIVATION, pdu.Status(sequence=1))
_TLVS = (
    tlv.request(sequence=3, key=KEY, wanted_dscp=46, follow_up=True, padding=bytes(8)),
    tlv.request(sequence=5, key=None, wanted_dscp=46, follow_up=True),
)

TARGETS = (
    Target("udpstp-pdu", _pdus, (*(one.pack() for one in _PDUS), _LOAD), DATAGRAM),
    Target("udpstp-control-port", _control_port, (_SIGNED,), DATAGRAM),
    Target("udpstp-load", _load_datagrams, (len(_LOAD).to_bytes(2) + _LOAD * 3, b"\0\x20" + _LOAD), DATAGRAM),
    Target("stamp-packet", _stamp_packets, (*_REQUESTS, bytes(44), bytes(112), bytes(38)), DATAGRAM),
    Target("stamp-tlv", _extensions, _TLVS, DATAGRAM),
    Target("stamp-reflector", _reflected, _REQUESTS, DATAGRAM),
    _icmp(FLOW, ROUTER),
    _icmp(FLOW_6, ROUTER_6),
    Target("snmp", _snmp, (RESPONSE, LONG, wrapped(b"\x46\x01\x05"), wrapped(b"\x04\x03abc")), DATAGRAM),
)
