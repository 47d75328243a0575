"""One host and its addresses: lookups in threads of their own, and what has been learnt of each address.

The C library may wait for a resolver for half a minute. Nothing waits for it where an address is known. Both
families are looked up side by side. A resolver that drops one type of question then delays the other by no
more than 50 ms (RFC 8305 section 3).
"""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from net.addresses.preference import AddressPreference, is_address

# Time that the answer of one family waits for the other's (RFC 8305 section 3, Resolution Delay).
RESOLUTION_DELAY_S = 0.05
# The C library's own limit with three resolvers of two attempts each.
LONGEST_LOOKUP_S = 35.0

LookUp = Callable[[str, socket.AddressFamily], list[str]]
_FAMILIES = (socket.AF_INET6, socket.AF_INET)
# Answers that there is no address of this family: the resolver works.
_NONE_OF_FAMILY = (socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY)


def look_up(host: str, family: socket.AddressFamily) -> list[str]:
    """Addresses of one family. Blocks. Raises OSError or UnicodeError."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, None, family, socket.SOCK_DGRAM)]


class HostAddresses:
    """Addresses of ``host``, which is a name or itself an address.

    ``problem`` is the newest lookup's failure, None after one that gave an address. ``looking`` is true while
    a lookup runs. ``in_use`` is the address of a connection that exists. ``newest`` is the answer of the
    newest lookup alone, and ``lookups`` the number of those that ended. ``dead`` are addresses that do not
    answer while another one does.
    """

    def __init__(
        self, host: str, answered: Sequence[str] = (), proved: Sequence[str] = (), look_up: LookUp = look_up
    ) -> None:
        self.host = host
        self.is_literal = is_address(host)
        self.problem: OSError | None = None
        self.looking = False
        self.newest: tuple[str, ...] = ()
        self.in_use: str | None = None
        self.lookups = 0
        self.dead: tuple[str, ...] = ()
        self._order = AddressPreference([host] if self.is_literal else answered, proved)
        self._look_up = look_up
        self._ended = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def candidates(self) -> tuple[str, ...]:
        """Addresses in the order in which they are to be tried."""
        return self._order.candidates()

    @property
    def answered(self) -> tuple[str, ...]:
        """Newest addresses from a resolver, of this run or of an earlier one."""
        return self._order.answered

    @property
    def proved(self) -> tuple[str, ...]:
        """Addresses that authenticated at some time."""
        return self._order.proved

    @property
    def is_vouched_for(self) -> bool:
        """True if more than a resolver's word stands behind an address: its silence then means something."""
        return self.is_literal or bool(self.proved)

    def prove(self, address: str) -> None:
        """Record that something at ``address`` has authenticated."""
        self._order.prove(address)

    def fail(self, address: str) -> None:
        """Record that ``address`` did not work."""
        self._order.fail(address)

    async def known(self, within_s: float = LONGEST_LOOKUP_S) -> tuple[str, ...]:
        """Addresses to try: at once where some are known, else after a lookup of at most ``within_s``.

        Raises OSError where there is none.
        """
        if not self.candidates:
            await self.refresh(within_s)
        if not self.candidates:
            raise self.problem or OSError(f"name resolution of {self.host} takes too long")
        return self.candidates

    async def refresh(self, within_s: float) -> None:
        """Look the name up, and wait at most ``within_s`` for it."""
        self.start_lookup()
        if self.looking:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._ended.wait()

    def start_lookup(self) -> None:
        """Look the name up in the background, unless that is being done."""
        if self.is_literal or (self._running is not None and not self._running.done()):
            return
        self.looking = True
        self._ended.clear()
        self._running = asyncio.create_task(self._resolve())

    async def _resolve(self) -> None:
        found: dict[socket.AddressFamily, list[str] | OSError] = {}
        pending = {asyncio.ensure_future(self._family(family, found)) for family in _FAMILIES}
        try:
            while pending and not any(isinstance(one, list) for one in found.values()):
                _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending:
                _, pending = await asyncio.wait(pending, timeout=RESOLUTION_DELAY_S)
            self._take(found)
            if pending:
                # A family whose resolver is slow still joins.
                await asyncio.wait(pending, timeout=LONGEST_LOOKUP_S)
                self._take(found)
        finally:
            for task in pending:
                task.cancel()
            self.looking = False

    async def _family(
        self, family: socket.AddressFamily, found: dict[socket.AddressFamily, list[str] | OSError]
    ) -> None:
        found[family] = await _in_a_thread(self._look_up, self.host, family)

    def _take(self, found: dict[socket.AddressFamily, list[str] | OSError]) -> None:
        self.newest = tuple(
            address for one in found.values() if not isinstance(one, OSError) for address in one
        )
        if self.newest:
            # A family without an answer keeps the addresses that it had.
            open_families = [family for family in _FAMILIES if not _is_final(found.get(family))]
            kept = [one for one in self.answered if _family_of(one) in open_families]
            self._order.take_answer([*self.newest, *kept])
            self.problem = None
        else:
            errors = [one for one in found.values() if isinstance(one, OSError)]
            failed = [one for one in errors if one.errno not in _NONE_OF_FAMILY]
            self.problem = [*failed, *errors, OSError(f"no address for {self.host}")][0]
        self.looking = False
        self.lookups += 1
        self._ended.set()


def _is_final(found: list[str] | OSError | None) -> bool:
    return isinstance(found, list) or (found is not None and found.errno in _NONE_OF_FAMILY)


def _family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


async def _in_a_thread(look_up: LookUp, host: str, family: socket.AddressFamily) -> list[str] | OSError:
    """Result of a lookup. The thread is left alone by a cancellation, and does not delay the program's end.

    The event loop's own threads are not used: a few lookups that hang would occupy them all.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[list[str] | OSError] = loop.create_future()

    def finish(result: list[str] | OSError) -> None:
        if not done.done():
            done.set_result(result)

    def run() -> None:
        result: list[str] | OSError
        try:
            result = look_up(host, family)
        except OSError as error:
            result = error
        except UnicodeError:
            # getaddrinfo raises it for a host that cannot be a name.
            result = OSError(socket.EAI_NONAME, "Name or service not known")
        # The program may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(finish, result)

    threading.Thread(target=run, name=f"lookup {host}", daemon=True).start()
    return await done
