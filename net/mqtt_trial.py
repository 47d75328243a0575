"""Whether a broker lets a program in: one connection, for a person who asks."""

import asyncio
from collections.abc import Callable, Sequence

from net.mqtt import Broker, Session, always

WITHIN_S = 15.0
_LOOK_EVERY_S = 0.05


async def why_not(
    broker: Broker,
    client_id: str,
    subscriptions: Sequence[str] = (),
    within_s: float = WITHIN_S,
    *,
    clock_synchronised: Callable[[], bool] = always,
) -> str | None:
    """Why the broker does not let ``client_id`` in and read these topics, for a person; None where it does.

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
        async with asyncio.timeout(within_s):
            while not connected.is_set() and session.problem == before:  # noqa: ASYNC110 -- a problem wakes nobody
                await asyncio.sleep(_LOOK_EVERY_S)
    except TimeoutError:
        why = "the network drops it, or it hangs"
        return f"broker {broker.host}:{broker.port}: no answer within {within_s:.0f} s: {why}"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return None if connected.is_set() else session.problem
