"""The bounded queue between the broker and the ledger's writer."""

import threading
import time
from collections import deque

from collector.ingest.decode import judge
from collector.model.message import Arrival, Judged

GROUP_MESSAGES = 200
# New measurements wait behind a group, so few of the large batches of a backlog fit in one.
GROUP_BYTES = 2_000_000
GROUP_SECONDS = 0.05


class Intake:
    """Messages that wait for the writer, bounded in number and in bytes. Safe to use from several threads.

    A message that does not fit is refused and gets no receipt, so its agent sends it again.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._waiting: deque[Arrival] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._asked = time.monotonic()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    @property
    def unasked_s(self) -> float:
        """Seconds since the writer last asked for messages. It asks every few seconds, or hangs."""
        return time.monotonic() - self._asked

    def offer(self, arrival: Arrival) -> bool:
        """Queue a message; return False if there is no room or the queue is closed."""
        with self._changed:
            size = len(arrival.payload)
            full = len(self._waiting) >= self._max_messages or self._bytes + size > self._max_bytes
            if full or self._closed:
                return False
            self._waiting.append(arrival)
            self._bytes += size
            self._changed.notify()
            return True

    def close(self) -> None:
        """Refuse new messages. Those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> int:
        """Drop the waiting messages, which get no receipt; return their number."""
        with self._changed:
            dropped = len(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            self._changed.notify_all()
            return dropped

    def take_decoded(self, idle_seconds: float) -> list[Judged] | None:
        """Take a group as :meth:`take` does, and decode it."""
        group = self.take(idle_seconds)
        return None if group is None else [judge(arrival) for arrival in group]

    def take(self, idle_seconds: float) -> list[Arrival] | None:
        """Take a group: the messages within 50 ms of the first one, at most 200 or about 2 MB.

        Waits up to ``idle_seconds`` for the first one and returns an empty list without one. None means
        closed and empty.
        """
        self._asked = time.monotonic()
        with self._changed:
            if not self._waiting and not self._closed:
                self._changed.wait(idle_seconds)
            if not self._waiting:
                return None if self._closed else []
            self._gather(time.monotonic() + GROUP_SECONDS)
            return self._group()

    def _group(self) -> list[Arrival]:
        group: list[Arrival] = []
        size = 0
        while self._waiting and len(group) < GROUP_MESSAGES and size < GROUP_BYTES:
            group.append(self._waiting.popleft())
            size += len(group[-1].payload)
        self._bytes -= size
        return group

    def _gather(self, deadline: float) -> None:
        while len(self._waiting) < GROUP_MESSAGES and self._bytes < GROUP_BYTES and not self._closed:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)
