"""SNMP agents for tests: one with the test's own answers, by scapy, and the real snmpd."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scapy.asn1.asn1 import ASN1_COUNTER64, ASN1_INTEGER, ASN1_OID, ASN1_STRING
from scapy.layers.snmp import SNMP, SNMPnext, SNMPresponse, SNMPvarbind

from net.snmp import SnmpAgent
from tests.processes import running
from tests.servers import require
from wire.snmp.codec import Oid, Response

COMMUNITY = "s3cret-word"
UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
Variables = dict[Oid, int | bytes | Oid]


def free_udp_port(host: str = "127.0.0.1") -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        port: int = sock.getsockname()[1]
    return port


def dotted(oid: Oid) -> ASN1_OID:
    return ASN1_OID(".".join(map(str, oid)))


def response(request_id: int, variables: Variables, *, community: str = COMMUNITY, error: int = 0) -> bytes:
    listed = [SNMPvarbind(oid=dotted(oid), value=encoded(value)) for oid, value in variables.items()]
    pdu = SNMPresponse(id=request_id, error=error, varbindlist=listed)
    return bytes(SNMP(version=1, community=community.encode(), PDU=pdu))


def encoded(value: int | bytes | Oid) -> object:
    if isinstance(value, bytes):
        return ASN1_STRING(value)
    if isinstance(value, tuple):
        return dotted(value)
    return ASN1_COUNTER64(value) if value >= 2**31 else ASN1_INTEGER(value)


class Router(asyncio.DatagramProtocol):
    """SNMP agent that answers GET and GETBULK from ``variables``; ``mischief`` makes datagrams sent before an
    answer.
    """

    def __init__(self, variables: Variables, mischief: Callable[[int], list[bytes]] | None = None) -> None:
        self.variables = variables
        self.asked = 0
        self.silent = 0
        self.error = 0
        self.knows_bulk = True
        self._mischief = mischief
        self._transport: asyncio.DatagramTransport

    async def listen(self) -> int:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pass

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        question = SNMP(data)
        request_id = question.PDU.id.val
        if self.asked <= self.silent or question.community.val != COMMUNITY.encode():
            return
        for datagram in self._mischief(request_id) if self._mischief else []:
            self._transport.sendto(datagram, addr)
        names = [tuple(map(int, one.oid.val.split("."))) for one in question.PDU.varbindlist]
        bulk = hasattr(question.PDU, "max_repetitions")
        if bulk and not self.knows_bulk:
            return
        following = bulk or isinstance(question.PDU, SNMPnext)
        found = (
            dict(list(self._following(names[0]).items())[: None if bulk else 1])
            if following
            else {n: self.variables[n] for n in names if n in self.variables}
        )
        self._transport.sendto(response(request_id, found, error=self.error), addr)

    def _of(self, names: list[Oid]) -> Variables:
        return {name: self.variables[name] for name in names if name in self.variables}

    def _following(self, after: Oid) -> Variables:
        rows = [(oid, value) for oid, value in sorted(self.variables.items()) if oid > after]
        return dict(rows[:20])


def snmpd(folder: Path, address: str, port: int, *before: str) -> list[str | Path]:
    """Return the command of a private snmpd, which reads nothing of the machine's configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "snmpd.conf"
    config.write_text(f"rocommunity {COMMUNITY}\n")
    surroundings = ("MIBS=", f"SNMP_PERSISTENT_DIR={folder}", f"SNMPCONFPATH={folder}")
    program = require("snmpd")
    return ["env", *surroundings, *before, program, "-f", "-C", "-c", config, "-Le", f"udp:{address}:{port}"]


@contextmanager
def snmpd_on_loopback(folder: Path) -> Iterator[int]:
    """Run the real snmpd while the block lasts, and yield its port."""
    port = free_udp_port()

    def answers() -> bool:
        agent = SnmpAgent("127.0.0.1", port, COMMUNITY, 0.2)
        return isinstance(asyncio.run(agent.get((UPTIME,))), Response)

    with running(snmpd(folder, "127.0.0.1", port), answers, folder / "snmpd.log"):
        yield port
