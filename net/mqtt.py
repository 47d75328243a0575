"""MQTT session of agent, peer and collector: one connection, kept alive until cancelled.

| state | event | next state |
|---|---|---|
| connecting | connected, and every subscription is granted | connected |
| connecting | refused, closed, or no answer in time | pause |
| connected | the broker closes, or acknowledges nothing in time | pause |
| connected | new certificates, or a clock that is now synchronised | connecting |
| pause | after a random time | connecting |

``problem`` is the reason for the state, None while connected. The broker is not trusted with delivery. An
acknowledged publication is no evidence that anybody received it, and messages beyond a bound are dropped.
Both are harmless: programs act on receipts, not on acknowledgements.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

import aiomqtt
from aiomqtt.exceptions import MqttConnectError
from msgspec import Meta, Struct
from paho.mqtt.reasoncodes import ReasonCode

from net import mqtt_errors
from net.addresses.host import HostAddresses
from net.liveness import ANSWER_WITHIN_S, STABLE_S, Backoff, Liveness
from net.mqtt_client import MqttClient
from net.tls import BrokerError as BrokerError
from net.tls import Credentials, Tls

_REFUSED = 0x80
_FAILURES = (aiomqtt.MqttError, OSError, ValueError)
# Time between checks of an open connection against renewed files and against the clock.
RENEWALS_EVERY_S = 60.0

log = logging.getLogger(__name__)


class Broker(Struct, frozen=True, forbid_unknown_fields=True):
    """Address and credentials of the broker. The password is in a file of its own."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    tls: Tls | None = None
    username: str | None = None
    password_file: str | None = None
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30


class Publication(Struct, frozen=True):
    """Message to publish, or to register as last will."""

    topic: str
    payload: bytes
    retain: bool = False


OnMessage = Callable[[str, bytes], Awaitable[None]]
OnConnected = Callable[[], Awaitable[None]]


async def _ignore_message(topic: str, payload: bytes) -> None:
    log.debug("unexpected message on %s, %d bytes", topic, len(payload))


async def _do_nothing() -> None:
    pass


def always() -> bool:
    """Answer of a clock that is always synchronised."""
    return True


class Session:
    """One MQTT connection that is restored after it ends; see the table of states above.

    - ``problem``: reason why there is no connection, as text for people; None while there is one.
    - ``subscriptions``: after 30 s without an acknowledgement the first of them is subscribed again. Without
      an answer to that the connection is closed.
    - ``incoming_bound``: number of unhandled messages beyond which further ones are dropped.
    - ``clock_synchronised``: without it TLS checks chain and name but no dates, and ``dates_checked`` is
    False.
    - ``addresses``: of the broker's host, shared with whoever else uses them.
    - ``retains``: False while the broker refuses retained messages; then everything is sent unretained.
    - ``on_acknowledged``: called when the broker has acknowledged something on the open connection.

    Raises BrokerError on construction if certificate or password files cannot be used.
    """

    def __init__(
        self,
        broker: Broker,
        client_id: str,
        *,
        subscriptions: Sequence[str] = (),
        on_message: OnMessage = _ignore_message,
        on_connected: OnConnected = _do_nothing,
        will: Publication | None = None,
        incoming_bound: int = 1000,
        clock_synchronised: Callable[[], bool] = always,
        addresses: HostAddresses | None = None,
        on_acknowledged: Callable[[], None] = lambda: None,
    ) -> None:
        self.problem: str | None = "not connected yet"
        self.addresses = addresses or HostAddresses(broker.host)
        self._broker = broker
        self._client_id = client_id
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message
        self._on_connected = on_connected
        self._will = will
        self._incoming_bound = incoming_bound
        self._clock_synchronised = clock_synchronised
        self._credentials = Credentials(broker.tls) if broker.tls else None
        self._password = _password(broker)
        self.dates_checked = self.retains = True
        self._client: MqttClient | None = None
        self._connected_at: float | None = None
        self._last_ended: str | None = None
        self._liveness = Liveness(0.0)
        self._on_acknowledged = on_acknowledged
        self._doubt = asyncio.Event()

    @property
    def connected(self) -> bool:
        """True while the connection seems to work; only a receipt proves it."""
        return self._client is not None

    async def run(self) -> None:
        """Connect, serve and reconnect until cancelled."""
        backoff = Backoff()
        while True:
            self._connected_at, self.retains = None, True
            ended = await self._serve()
            self.problem = ended or f"{_place(self._broker)}: reconnecting"
            lasted = 0.0 if self._connected_at is None else time.monotonic() - self._connected_at
            backoff.ended(lasted)
            # From 0 on: 6,000 agents that lose one broker then return evenly spread.
            pause = random.uniform(0, backoff.longest_s)
            log.log(self._level(ended, lasted), "%s; next try in %.1f s", self.problem, pause)
            await asyncio.sleep(pause)

    def _level(self, ended: str | None, lasted: float) -> int:
        """Log level for the end of a connection: a reason that lasts is worth one warning."""
        before, self._last_ended = self._last_ended, ended
        if ended is not None and (ended != before or lasted > STABLE_S):
            return logging.WARNING
        return logging.DEBUG if self._connected_at is None else logging.INFO

    async def publish(self, publication: Publication, *, quality: int = 1) -> bool:
        """Publish; True once the broker has acknowledged it, False if it could not be reached."""
        client, asked = self._client, time.monotonic()
        if client is None:
            return False
        try:
            await client.publish(
                publication.topic,
                publication.payload,
                qos=quality,
                retain=publication.retain and self.retains,
                timeout=ANSWER_WITHIN_S,
            )
        except _FAILURES as error:
            log.warning("could not publish on %s: %s", publication.topic, self._explain(error))
            self._unanswered(client, asked)
            return False
        # A publication of QoS 0 has no acknowledgement: its success proves nothing of the link.
        if quality:
            self._acknowledged()
        return True

    async def _serve(self) -> str | None:
        """Serve one connection to its end; return the reason, None if it is only to be renewed."""
        try:
            # Known addresses are used at once, while the lookup goes on.
            self.addresses.start_lookup()
            candidates = await self.addresses.known()
        except OSError as error:
            return self._explain(error)
        client = self._new_client(candidates)
        try:
            async with client:
                self._proved(client)
                await self._subscribe(client)
                self._connected_at = now = time.monotonic()
                self._liveness = Liveness(now)
                self._client, self.problem = client, None
                log.info("connected to broker %s:%d%s", self._broker.host, self._broker.port, self._but())
                async with _background(self._check_liveness(client), self._check_credentials(client)):
                    await self._on_connected()
                    async for message in client.messages:
                        await self._handle(message)
        except _FAILURES as error:
            if not self._refuses_retained(error):
                return None if client.left else self._ended(client, error)
        else:
            return f"{_place(self._broker)} closed the connection"
        finally:
            self._client = self.addresses.in_use = None
        return await self._serve()

    def _refuses_retained(self, error: Exception) -> bool:
        """Return true, once, if the broker may have hung up because of the retained will (MQTT 3.1.1)."""
        may = (
            str(error) == mqtt_errors.HUNG_UP
            and self._will is not None
            and self._will.retain
            and self.retains
        )
        self.retains = self.retains and not may
        return may

    def _but(self) -> str:
        return "" if self.retains else f", {mqtt_errors.UNRETAINED}"

    def _proved(self, client: MqttClient) -> None:
        """Record the address of a connection that the broker has accepted by its CONNACK."""
        for address in client.failed:
            self.addresses.fail(address)
        if client.address is not None:
            self.addresses.prove(client.address)
        self.addresses.in_use = client.address

    def _ended(self, client: MqttClient, error: Exception) -> str:
        """Reason for the end of a connection; its address is tried last from now on."""
        unproved = client.address is not None and self.addresses.in_use is None
        if client.address is not None and not isinstance(error, MqttConnectError | _NotAllowedError):
            self.addresses.fail(client.address)
        if unproved and "timed out" in str(error):
            error, client.cause = aiomqtt.MqttError(mqtt_errors.UNPROVED), None
        return self._explain(error, client.cause)

    async def _subscribe(self, client: MqttClient) -> None:
        for topic in self._subscriptions:
            await _subscribe(client, topic)

    def ask(self) -> None:
        """Request an acknowledgement now, because somebody doubts that the broker can be reached."""
        self._doubt.set()

    async def _check_liveness(self, client: MqttClient) -> None:
        self._doubt.clear()
        # Without a subscription there is nothing harmless to request.
        while self._subscriptions:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._liveness.due_in(time.monotonic())):
                    await self._doubt.wait()
            asked = time.monotonic()
            if self._liveness.due_in(asked) > 0 and not self._doubt.is_set():
                continue
            self._doubt.clear()
            try:
                await _subscribe(client, self._subscriptions[0])
            except _NotAllowedError as error:
                client.fail(str(error))
                return
            except _FAILURES:
                self._unanswered(client, asked)
                return
            self._acknowledged()

    def _acknowledged(self) -> None:
        self._liveness.acknowledged(time.monotonic())
        self._on_acknowledged()

    def _unanswered(self, client: MqttClient, asked: float) -> None:
        # A request of an earlier connection must not end the present one.
        if client is self._client:
            self._liveness.unanswered(asked)
            if self._liveness.lost:
                self._client = None
                client.fail(mqtt_errors.SILENT)

    async def _check_credentials(self, client: MqttClient) -> None:
        """Leave a connection with older certificates, or with dates that were not checked."""
        while self._credentials is not None:
            await asyncio.sleep(RENEWALS_EVERY_S)
            renewed = await asyncio.to_thread(self._credentials.renew)
            if renewed or (not self.dates_checked and self._clock_synchronised()):
                client.leave()
                return

    async def _handle(self, message: aiomqtt.Message) -> None:
        try:
            await self._on_message(str(message.topic), _payload(message))
        except Exception:
            # A handler's error is neither the broker's fault nor the next message's: the connection stays.
            log.exception("internal error: a message on %s was not handled", message.topic)

    def _new_client(self, addresses: Sequence[str]) -> MqttClient:
        last = self._will
        retain = last is not None and last.retain and self.retains
        will = aiomqtt.Will(last.topic, last.payload, qos=1, retain=retain) if last else None
        self._renew_password()
        return MqttClient(
            self._broker.host,
            self._broker.port,
            addresses=addresses,
            identifier=self._client_id,
            username=self._broker.username,
            password=self._password,
            keepalive=self._broker.keepalive_s,
            timeout=ANSWER_WITHIN_S,
            tls_context=self._tls_context(),
            will=will,
            max_queued_incoming_messages=self._incoming_bound,
        )

    def _tls_context(self) -> ssl.SSLContext | None:
        if self._credentials is None:
            return None
        before, self.dates_checked = self.dates_checked, self._clock_synchronised()
        if before and not self.dates_checked:
            log.warning(
                "this clock is not synchronised: checking authority and name of the broker's certificate, "
                "but not its dates"
            )
        return self._credentials.context(check_dates=self.dates_checked)

    def _renew_password(self) -> None:
        try:
            self._password = _password(self._broker)
        except BrokerError as error:
            log.error("%s: the password read before stays in use", error)

    def _explain(self, error: Exception, cause: BaseException | None = None) -> str:
        # The first read error says more than aiomqtt's error that follows from it, except for a refusal.
        reason = error if cause is None or isinstance(error, MqttConnectError) else cause
        return mqtt_errors.explain(reason, _place(self._broker), tls=self._broker.tls is not None)


class _NotAllowedError(aiomqtt.MqttError):
    """Refusal of a subscription."""


async def _subscribe(client: MqttClient, topic: str) -> None:
    """Subscribe. Raises _NotAllowedError, or aiomqtt's error when no answer arrives."""
    if _refused(await client.subscribe(topic, qos=1, timeout=ANSWER_WITHIN_S)):
        raise _NotAllowedError(f"does not allow this user to read {topic}: check its ACL")


@asynccontextmanager
async def _background(*work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run tasks while the block lasts."""
    tasks = [asyncio.create_task(one) for one in work]
    for task in tasks:
        task.add_done_callback(_log_error)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_error(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("internal error: a connection is no longer watched", exc_info=error)


def _place(broker: Broker) -> str:
    return f"broker {broker.host}:{broker.port}"


def _refused(granted: Sequence[int | ReasonCode]) -> bool:
    # MQTT answers a refused subscription with 0x80 or above and leaves the connection open.
    return any((code if isinstance(code, int) else code.value) >= _REFUSED for code in granted)


def _payload(message: aiomqtt.Message) -> bytes:
    return message.payload if isinstance(message.payload, bytes) else b""


def _password(broker: Broker) -> str | None:
    if broker.password_file is None:
        return None
    if broker.username is None:
        raise BrokerError("broker.password_file: of no use without broker.username")
    path = Path(broker.password_file)
    try:
        if path.stat().st_mode & 0o077:
            raise BrokerError(f"broker.password_file: {path}: others can read it: chmod 600 {path}")
        return path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise BrokerError(f"broker.password_file: {path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise BrokerError(f"broker.password_file: {path}: not UTF-8 text") from None
