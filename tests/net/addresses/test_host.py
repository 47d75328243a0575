"""Lookups of a host: slow, dead and partial resolvers, and what is used meanwhile."""

import asyncio
import socket
import threading
from collections.abc import Callable

import pytest

from net.addresses.host import HostAddresses, LookUp

SIX, FOUR = "2001:db8::1", "192.0.2.1"
NO_ANSWER = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
NO_SUCH_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
WITHIN_S = 5.0


def resolver(six: object, four: object) -> LookUp:
    """Resolver by family: addresses, an error to raise, or something to wait for first."""

    def look_up(_: str, family: socket.AddressFamily) -> list[str]:
        found = six if family == socket.AF_INET6 else four
        if isinstance(found, Callable):  # type: ignore[arg-type]
            found = found()
        if isinstance(found, OSError):
            raise found
        assert isinstance(found, list)
        return found

    return look_up


async def ended(host: HostAddresses, lookups: int = 1) -> None:
    async with asyncio.timeout(WITHIN_S):
        while host.lookups < lookups:
            await asyncio.sleep(0.01)


async def test_both_families_are_known_after_a_lookup() -> None:
    host = HostAddresses("host.test", look_up=resolver([SIX], [FOUR]))
    assert set(await host.known(WITHIN_S)) == {SIX, FOUR}
    assert (host.problem, host.looking) == (None, False)


async def test_an_address_is_its_own_and_needs_no_lookup() -> None:
    host = HostAddresses(FOUR, look_up=resolver(NO_ANSWER, NO_ANSWER))
    host.start_lookup()
    assert (await host.known(), host.looking, host.is_vouched_for) == ((FOUR,), False, True)


async def test_a_dead_resolver_costs_no_known_address_and_no_time() -> None:
    stop = threading.Event()

    def never() -> list[str]:
        stop.wait(WITHIN_S)
        raise NO_ANSWER

    host = HostAddresses("host.test", [FOUR], [FOUR], resolver(never, never))
    host.start_lookup()
    async with asyncio.timeout(0.5):
        assert await host.known() == (FOUR,)
    assert host.looking
    stop.set()
    await ended(host)
    assert (host.candidates, host.problem) == ((FOUR,), NO_ANSWER)


async def test_a_family_that_is_not_answered_delays_the_other_by_little_and_joins_later() -> None:
    stop = threading.Event()

    def late() -> list[str]:
        stop.wait(WITHIN_S)
        return [SIX]

    host = HostAddresses("host.test", look_up=resolver(late, [FOUR]))
    async with asyncio.timeout(1.0):
        assert await host.known() == (FOUR,)
    assert (host.looking, host.problem) == (False, None)
    stop.set()
    await ended(host, 2)
    assert set(host.candidates) == {SIX, FOUR}


async def test_without_any_address_the_resolvers_error_is_raised() -> None:
    for six, four, problem in (
        (NO_SUCH_NAME, NO_ANSWER, NO_ANSWER),
        (NO_SUCH_NAME, NO_SUCH_NAME, NO_SUCH_NAME),
    ):
        host = HostAddresses("host.test", look_up=resolver(six, four))
        with pytest.raises(OSError, match=str(problem.strerror)):
            await host.known(WITHIN_S)


async def test_a_family_with_a_resolvers_error_keeps_its_addresses_and_one_that_is_gone_does_not() -> None:
    answers: dict[str, object] = {"six": [SIX]}
    host = HostAddresses("host.test", look_up=resolver(lambda: answers["six"], [FOUR]))
    await host.known(WITHIN_S)
    answers["six"] = NO_ANSWER
    await host.refresh(WITHIN_S)
    assert set(host.answered) == {SIX, FOUR}
    answers["six"] = NO_SUCH_NAME
    await host.refresh(WITHIN_S)
    assert host.answered == (FOUR,)


async def test_one_lookup_runs_at_a_time() -> None:
    stop, threads = threading.Event(), []

    def slow() -> list[str]:
        threads.append(threading.current_thread())
        stop.wait(WITHIN_S)
        return [FOUR]

    host = HostAddresses("host.test", look_up=resolver(slow, slow))
    for _ in range(10):
        host.start_lookup()
        await asyncio.sleep(0.01)
    assert len(threads) == 2
    assert all(thread.daemon for thread in threads)
    stop.set()
    await ended(host)


async def test_a_text_that_cannot_be_a_name_has_no_address() -> None:
    with pytest.raises(OSError, match="not known"):
        await HostAddresses("a" * 70 + ".test").known(WITHIN_S)
