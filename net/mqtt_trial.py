"""Trial of a broker's settings: one connection, for a command that a person runs."""

import asyncio
from collections.abc import Callable, Sequence

from net.mqtt import Broker, Session, always

WITHIN_S = 15.0
# A person waits for the command.
_LOOK_EVERY_S = 0.05


async def access_problem(
    broker: Broker,
    client_id: str,
    subscriptions: Sequence[str] = (),
    *,
    clock_synchronised: Callable[[], bool] = always,
) -> str | None:
    """Try to connect as ``client_id`` and to subscribe; return the problem as text, None where it works.

    Raises BrokerError if the settings name files that cannot be used.
    """
    connected = asyncio.Event()

    async def note() -> None:
        connected.set()

    session = Session(
        broker,
        client_id,
        subscriptions=subscriptions,
        on_connected=note,
        clock_synchronised=clock_synchronised,
    )
    before, running = session.problem, asyncio.create_task(session.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            while not connected.is_set() and session.problem == before:  # noqa: ASYNC110 -- a problem wakes nobody
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        why = "the network drops our packets, or the broker hangs"
        return f"broker {broker.host}:{broker.port}: no answer within {WITHIN_S:.0f} s: {why}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return None if connected.is_set() else session.problem
