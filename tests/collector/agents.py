"""What stands in for an agent on a real broker: publishes batches, collects receipts, sends again."""

import threading
from types import TracebackType

import paho.mqtt.client as paho

from wire import messages, topics
from wire.messages import Receipt, ReceiptLine
from wire.topics import Kind

Key = tuple[str, int]


class Agent:
    """One site's connection; use it as a context manager."""

    def __init__(self, port: int, site: str) -> None:
        self.site = site
        self.receipts: list[Receipt] = []
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"agent-{site}")
        self._client.on_connect = lambda *_: self._client.subscribe(topics.topic(site, Kind.RECEIPTS), qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._receive
        self._port = port

    def __enter__(self) -> "Agent":
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, payload: bytes, topic: str | None = None, *, retain: bool = False) -> None:
        """Publish, acknowledged by the broker; on the results topic where none is given."""
        topic = topic or topics.topic(self.site, Kind.RESULTS)
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    def lines(self) -> list[ReceiptLine]:
        """Every line of every receipt so far."""
        return [line for receipt in list(self.receipts) for line in receipt.lines]

    def held(self) -> set[Key]:
        """The measurements of which a receipt says that they are in the ledger."""
        return {
            (line.epoch, seq)
            for line in self.lines()
            if line.status in ("committed", "duplicate")
            for seq in range(line.first, line.last + 1)
        }

    def _receive(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        receipt = messages.decode(message.payload, Receipt, self.site)
        assert isinstance(receipt, Receipt), receipt
        self.receipts.append(receipt)
