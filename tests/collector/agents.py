"""Stand-ins for agent and peer on a real broker: publish messages and collect receipts."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import paho.mqtt.client as paho

from wire.messages import commands, topics
from wire.messages import envelope as messages
from wire.messages.commands import CommandMessage
from wire.messages.envelope import Receipt, ReceiptLine
from wire.messages.topics import Kind, PeerKind

Key = tuple[str, int]


class Client(ABC):
    """Connection to the broker with the messages received over it; a context manager."""

    def __init__(self, port: int, name: str, *subscriptions: str) -> None:
        self._subscribed = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name)
        self._client.on_connect = lambda *_: self._client.subscribe([(topic, 1) for topic in subscriptions])
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._receive
        self._port = port

    def __enter__(self) -> Self:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._subscribed.wait(20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(20)

    @abstractmethod
    def _receive(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        """Decode and keep a received message."""


class Peer(Client):
    """Connection of a measurement peer."""

    def __init__(self, port: int, peer: str) -> None:
        self.peer = peer
        self.receipts: list[Receipt] = []
        super().__init__(port, f"peer-{peer}", topics.peer_topic(peer, PeerKind.RECEIPTS))

    def publish(self, payload: bytes) -> None:
        """Publish on the peer's topic."""
        self._publish(topics.peer_topic(self.peer, PeerKind.TESTS), payload)

    def _receive(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        receipt = messages.decode(message.payload, Receipt, self.peer)
        assert isinstance(receipt, Receipt), receipt
        self.receipts.append(receipt)


class Agent(Client):
    """Connection of one site's agent."""

    def __init__(self, port: int, site: str) -> None:
        self.site = site
        self.receipts: list[Receipt] = []
        self.commands: list[CommandMessage] = []
        super().__init__(
            port, f"agent-{site}", topics.topic(site, Kind.RECEIPTS), topics.topic(site, Kind.COMMANDS)
        )

    def publish(self, payload: bytes, topic: str | None = None, *, retain: bool = False) -> None:
        """Publish with the broker's acknowledgement, on the topic of results unless given."""
        self._publish(topic or topics.topic(self.site, Kind.RESULTS), payload, retain=retain)

    def lines(self) -> list[ReceiptLine]:
        """Lines of all receipts so far."""
        return [line for receipt in list(self.receipts) for line in receipt.lines]

    def held(self) -> set[Key]:
        """Measurements with a receipt that says they are in the ledger."""
        return {
            (line.epoch, seq)
            for line in self.lines()
            if line.status == "committed"
            for seq in range(line.first, line.last + 1)
        }

    def _receive(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if message.topic == topics.topic(self.site, Kind.COMMANDS):
            command = commands.decode(message.payload, self.site)
            assert isinstance(command, CommandMessage), command
            self.commands.append(command)
            return
        receipt = messages.decode(message.payload, Receipt, self.site)
        assert isinstance(receipt, Receipt), receipt
        self.receipts.append(receipt)
