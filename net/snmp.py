"""Requests to one SNMP agent over UDP, with time-outs and repetitions (RFC 3416).

Agents of small devices take few variables a request, or know only what SNMP version 1 knew:

| agent | answer to a request for many variables | what follows |
|---|---|---|
| of small datagrams | tooBig, or none at all | requests for half as many variables, from now on |
| of version 1 in spirit | noSuchName for the first variable that it lacks | the same without this variable |
| that names no variable | any error | requests for half as many, until one variable alone is refused |
| without GETBULK | an error, or none at all | GETNEXT, from now on |

An agent is silent only if it does not answer a request for one variable either.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable

from msgspec import Struct

from wire.snmp import codec as snmp
from wire.snmp.codec import Binding, Oid, Response

TRIES = 3
MAX_DATAGRAM = 65_535
MOST_VARIABLES = 64  # a request for so many fits a datagram of 1,500 bytes

_TOO_BIG, _NO_SUCH_NAME = 1, 2
# noSuchName, genErr, noAccess, authorizationError: about the variable at the error's index alone.
_ERRORS_OF_ONE = frozenset({_NO_SUCH_NAME, 5, 6, 16})
_ERRORS = {
    1: "tooBig",
    2: "noSuchName",
    5: "genErr",
    6: "noAccess",
    13: "resourceUnavailable",
    16: "authorizationError",
}


class NoAnswer(Struct, frozen=True):
    """Reason why there is no answer, as text for people; ``detail`` never contains the community.

    ``silent``: nothing was heard of the agent, not even an error.
    """

    detail: str
    silent: bool = False


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
        self._most = MOST_VARIABLES
        self._bulk = True

    def __repr__(self) -> str:
        return f"SnmpAgent({self._host!r}, {self._port})"

    async def get(self, oids: tuple[Oid, ...]) -> Response | NoAnswer:
        """Read these variables, in several requests if need be; unknown ones are left out. Never raises."""
        found: list[Binding] = []
        left, refused = list(oids), None
        while left:
            asked = tuple(left[: self._most])
            answer = await self._part(asked)
            if isinstance(answer, NoAnswer):
                return answer
            if not answer.error_status:
                found += answer.bindings
                del left[: len(asked)]
            elif (unknown := _unknown(answer, asked)) is not None:
                refused = answer
                left.remove(unknown)
            else:
                self._most = len(asked) // 2
        return self._refused(refused) if refused and not found else Response(0, 0, tuple(found))

    async def _part(self, asked: tuple[Oid, ...]) -> Response | NoAnswer:
        """Answer to one request; an agent that drops it counts as one that finds it too big."""
        answer = await self._ask(
            lambda request_id: snmp.get(self._community, request_id, asked), TRIES - (len(asked) > 1)
        )
        if isinstance(answer, NoAnswer) and answer.silent and len(asked) > 1:
            last = await self._ask(lambda request_id: snmp.get(self._community, request_id, asked[:1]), 1)
            return last if isinstance(last, NoAnswer) else Response(0, _TOO_BIG, ())
        return answer

    async def get_bulk(self, after: Oid, repetitions: int) -> Response | NoAnswer:
        """Read variables that follow ``after``, by GETNEXT one where GETBULK is unknown. Never raises."""
        if self._bulk:
            answer = await self._ask(
                lambda request_id: snmp.get_bulk(self._community, request_id, after, repetitions), TRIES - 1
            )
            if isinstance(answer, Response) and not answer.error_status:
                return answer
            if isinstance(answer, NoAnswer) and not answer.silent:
                return answer
        following = await self._ask(
            lambda request_id: snmp.get_next(self._community, request_id, after), 1 if self._bulk else TRIES
        )
        if isinstance(following, NoAnswer):
            return following
        # Version 1 says noSuchName behind the last variable (RFC 1157 section 4.1.3).
        if following.error_status and (self._bulk or following.error_status != _NO_SUCH_NAME):
            return self._refused(following)
        self._bulk = False
        return Response(0, 0, ()) if following.error_status else following

    def _refused(self, answer: Response) -> NoAnswer:
        error = _ERRORS.get(answer.error_status, "RFC 3416 section 3")
        return NoAnswer(f"{self._place} answers with error {answer.error_status} ({error})")

    async def _ask(self, question: Callable[[int], bytes], tries: int = TRIES) -> Response | NoAnswer:
        """Answer of the agent, also one with an error."""
        try:
            with await self._open() as sock:
                return await self._converse(sock, question, tries)
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

    async def _converse(
        self, sock: socket.socket, question: Callable[[int], bytes], tries: int = TRIES
    ) -> Response | NoAnswer:
        loop = asyncio.get_running_loop()
        asked: set[int] = set()
        for _ in range(tries):
            request_id = secrets.randbelow(snmp.HIGHEST_REQUEST_ID + 1)
            asked.add(request_id)
            await loop.sock_sendall(sock, question(request_id))
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._answer(sock, asked)
            except TimeoutError:
                continue
        return NoAnswer(
            f"no answer from {self._place} to {TRIES} requests: SNMP version 2c is off there, it has another"
            " community, does not allow this address, or answers from another address",
            silent=True,
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


def _unknown(answer: Response, asked: tuple[Oid, ...]) -> Oid | None:
    """Variable that the error is about; None where it is about the request."""
    if len(asked) == 1:
        return asked[0]
    if answer.error_status in _ERRORS_OF_ONE and 1 <= answer.error_index <= len(asked):
        return asked[answer.error_index - 1]
    return None
