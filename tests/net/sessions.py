"""Sessions that run while a test observes them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from net.mqtt import Session


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def problem_of(session: Session) -> str:
    """Run the session until it has failed once."""
    async with running(session):
        await until(lambda: session.problem not in (None, "not connected yet"))
        return str(session.problem)


@asynccontextmanager
async def running(session: Session) -> AsyncIterator["asyncio.Task[None]"]:
    """Task of the session; after a cancellation it must end within seconds, and as cancelled."""
    task = asyncio.create_task(session.run())
    try:
        yield task
    finally:
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=8)
        assert done, "the session does not end"
    assert task.cancelled()
