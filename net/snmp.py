"""Requests to one SNMP agent over UDP, with time-outs and repetitions (RFC 3416)."""

import asyncio
import secrets
import socket
from collections.abc import Callable

from msgspec import Struct

from wire.snmp import codec as snmp
from wire.snmp.codec import Oid, Response

TRIES = 3
MAX_DATAGRAM = 65_535

_ERRORS = {
    1: "tooBig",
    2: "noSuchName",
    5: "genErr",
    6: "noAccess",
    13: "resourceUnavailable",
    16: "authorizationError",
}


class NoAnswer(Struct, frozen=True):
    """Reason why there is no answer, as text for people; ``detail`` never contains the community."""

    detail: str


class SnmpAgent:
    """SNMP agent at ``host``. Version 2c sends ``community`` unencrypted.

    Each request waits ``timeout_s`` for its answer and is sent ``TRIES`` times at most. Every request has a
    connected socket of its own: its source port is new, and the kernel drops datagrams from other addresses.
    """

    def __init__(self, host: str, port: int, community: str, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._community = community.encode()
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"SnmpAgent({self._host!r}, {self._port})"

    async def get(self, oids: tuple[Oid, ...]) -> Response | NoAnswer:
        """Read these variables. Never raises."""
        return await self._ask(lambda request_id: snmp.get(self._community, request_id, oids))

    async def get_bulk(self, after: Oid, repetitions: int) -> Response | NoAnswer:
        """Read the variables that follow ``after``. Never raises."""
        return await self._ask(
            lambda request_id: snmp.get_bulk(self._community, request_id, after, repetitions)
        )

    async def _ask(self, question: Callable[[int], bytes]) -> Response | NoAnswer:
        try:
            with await self._open() as sock:
                return await self._converse(sock, question)
        except socket.gaierror as error:
            return NoAnswer(f"{self._host}: {error.strerror}")
        except ConnectionRefusedError:
            return NoAnswer(f"nothing listens on {self._place}: is SNMP on there, is the port right?")
        except OSError as error:
            return NoAnswer(f"{self._place}: {error.strerror}")

    async def _open(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock

    async def _converse(self, sock: socket.socket, question: Callable[[int], bytes]) -> Response | NoAnswer:
        loop = asyncio.get_running_loop()
        asked: set[int] = set()
        for _ in range(TRIES):
            request_id = secrets.randbelow(snmp.HIGHEST_REQUEST_ID + 1)
            asked.add(request_id)
            await loop.sock_sendall(sock, question(request_id))
            try:
                async with asyncio.timeout(self._timeout_s):
                    answer = await self._answer(sock, asked)
            except TimeoutError:
                continue
            if answer.error_status:
                error = _ERRORS.get(answer.error_status, "RFC 3416 section 3")
                return NoAnswer(f"{self._place} answers with error {answer.error_status} ({error})")
            return answer
        return NoAnswer(
            f"no answer from {self._place} to {TRIES} requests: SNMP version 2c is off there, it has another"
            " community, does not allow this address, or answers from another address"
        )

    async def _answer(self, sock: socket.socket, asked: set[int]) -> Response:
        """Await the first answer to one of our requests; other datagrams are ignored."""
        loop = asyncio.get_running_loop()
        while True:
            datagram = await loop.sock_recv(sock, MAX_DATAGRAM)
            answer = snmp.decode(datagram, self._community)
            if isinstance(answer, Response) and answer.request_id in asked:
                return answer
            # Receiving from a full buffer does not yield: without this, a flood would stop the time-out, too.
            await asyncio.sleep(0)

    @property
    def _place(self) -> str:
        return f"{self._host} port {self._port}"
