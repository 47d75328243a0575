"""The bounded queue between the broker and the ledger's writer, with fair turns for every sender.

The topic names the sender. Each sender has a queue of its own. The queues take turns by number of messages
and by bytes (deficit round robin, Shreedhar and Varghese 1995).

| the sender has        | and the queue is                     | the message is              |
|-----------------------|--------------------------------------|-----------------------------|
| nothing waiting       | within its bounds                    | queued                      |
| nothing waiting       | full                                 | refused: ``IntakeRefusal.FULL``   |
| less than its share   | filled to less than three quarters   | queued                      |
| anything else waiting | in any state                         | refused: ``IntakeRefusal.SENDER`` |

The last quarter is kept for senders with nothing waiting, so that no flood keeps a neighbour's message out.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

from collector.ingest.decode import judge
from collector.model.message import Arrival, Judged
from wire.messages.envelope import MAX_MESSAGE_BYTES

GROUP_MESSAGES = 200
# New measurements wait behind a group, so few of the large batches of a backlog fit in one.
GROUP_BYTES = 2_000_000
GROUP_SECONDS = 0.05
TURN_BYTES = 64 * 1024
# An agent has a few batches in flight. One that sends them again before their receipts needs some more room.
SENDER_SHARE = 16


class IntakeRefusal(StrEnum):
    """Reason for refusing a message: ``sender`` has used its room, or the queue is ``full`` for everybody."""

    SENDER = "sender"
    FULL = "full"


@dataclass(slots=True)
class _Sender:
    waiting: deque[Arrival] = field(default_factory=deque)
    size: int = 0
    credit: int = 0


class Intake:
    """Messages that wait for the writer, bounded in number and in bytes. Safe to use from several threads.

    A refused message gets no receipt, so its sender sends it again.
    """

    def __init__(self, max_messages: int, max_bytes: int) -> None:
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._bytes = 0
        self._messages = 0
        self._senders: dict[str, _Sender] = {}
        self._turns: deque[str] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._asked = time.monotonic()

    def __len__(self) -> int:
        return self._messages

    @property
    def closed(self) -> bool:
        """True after :meth:`close`."""
        return self._closed

    @property
    def unasked_s(self) -> float:
        """Seconds since the writer last asked for messages. It asks every few seconds, or hangs."""
        return time.monotonic() - self._asked

    def offer(self, arrival: Arrival) -> IntakeRefusal | None:
        """Queue a message; return the reason if it is refused. A closed queue counts as full."""
        with self._changed:
            sender = self._senders.get(arrival.topic)
            if refusal := self._refusal(sender, len(arrival.payload)):
                return refusal
            if sender is None:
                sender = self._senders[arrival.topic] = _Sender()
                self._turns.append(arrival.topic)
            sender.waiting.append(arrival)
            sender.size += len(arrival.payload)
            self._messages += 1
            self._bytes += len(arrival.payload)
            self._changed.notify()
            return None

    def _refusal(self, sender: _Sender | None, size: int) -> IntakeRefusal | None:
        messages, total = self._messages + 1, self._bytes + size
        if sender is None or self._closed:
            full = self._closed or messages > self._max_messages or total > self._max_bytes
            return IntakeRefusal.FULL if full else None
        shared = messages * 4 <= self._max_messages * 3 and total * 4 <= self._max_bytes * 3
        # The largest message must fit behind another one, however small the queue is.
        most_bytes = max(self._max_bytes // SENDER_SHARE, 2 * MAX_MESSAGE_BYTES)
        few = len(sender.waiting) < max(self._max_messages // SENDER_SHARE, 2)
        return None if shared and few and sender.size + size <= most_bytes else IntakeRefusal.SENDER

    def close(self) -> None:
        """Refuse new messages. Those that wait can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> int:
        """Drop the waiting messages, which get no receipt; return their number."""
        with self._changed:
            dropped = self._messages
            self._senders.clear()
            self._turns.clear()
            self._messages = self._bytes = 0
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
            if not self._messages and not self._closed:
                self._changed.wait(idle_seconds)
            if not self._messages:
                return None if self._closed else []
            self._gather(time.monotonic() + GROUP_SECONDS)
            return self._group()

    def _group(self) -> list[Arrival]:
        group: list[Arrival] = []
        size = 0
        while self._turns and len(group) < GROUP_MESSAGES and size < GROUP_BYTES:
            if (taken := self._turn(self._turns.popleft())) is not None:
                group.append(taken)
                size += len(taken.payload)
        self._messages -= len(group)
        self._bytes -= size
        return group

    def _turn(self, topic: str) -> Arrival | None:
        """Take the sender's oldest message, unless it is a large one that needs more turns."""
        sender = self._senders[topic]
        sender.credit += TURN_BYTES
        taken = None
        if len(sender.waiting[0].payload) <= sender.credit:
            taken = sender.waiting.popleft()
            sender.size -= len(taken.payload)
            sender.credit = 0
        if sender.waiting:
            self._turns.append(topic)
        else:
            del self._senders[topic]
        return taken

    def _gather(self, deadline: float) -> None:
        while self._messages < GROUP_MESSAGES and self._bytes < GROUP_BYTES and not self._closed:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)
