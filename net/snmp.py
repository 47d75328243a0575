"""Asks one SNMP agent, over UDP: a question, its answer, and nothing that anybody else sends."""

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
    """Why there is no answer, for a person; it never holds the community."""

    detail: str


class SnmpAgent:
    """One agent at ``host``, asked in version 2c, which sends ``community`` in clear.

    Each question waits ``timeout_s`` for its answer and is asked ``TRIES`` times at most. Every question has
    a socket of its own: another source port each, and connected, so that the kernel drops what comes from
    any other address than the one asked.
    """

    def __init__(self, host: str, port: int, community: str, timeout_s: float) -> None:
        self._host = host
        self._port = port
        self._community = community.encode()
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"SnmpAgent({self._host!r}, {self._port})"

    async def get(self, oids: tuple[Oid, ...]) -> Response | NoAnswer:
        """The values of these variables. Never raises."""
        return await self._ask(lambda request_id: snmp.get(self._community, request_id, oids))

    async def get_bulk(self, after: Oid, repetitions: int) -> Response | NoAnswer:
        """The variables that follow ``after``. Never raises."""
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
            f"no answer from {self._place} to {TRIES} questions: SNMP version 2c is off there, it knows"
            " another community, does not let this address ask, or answers from another address"
        )

    async def _answer(self, sock: socket.socket, asked: set[int]) -> Response:
        """The first answer to one of our questions; whatever else arrives is passed over.

        Receiving what is there already does not let anybody else have a turn, a time-out neither.
        """
        loop = asyncio.get_running_loop()
        while True:
            datagram = await loop.sock_recv(sock, MAX_DATAGRAM)
            answer = snmp.decode(datagram, self._community)
            if isinstance(answer, Response) and answer.request_id in asked:
                return answer
            await asyncio.sleep(0)

    @property
    def _place(self) -> str:
        return f"{self._host} port {self._port}"
