"""The MQTT session that agent and collector share: one connection, kept alive until cancelled.

The broker is untrusted for delivery. A publication that returns True was acknowledged by the broker, which is
no evidence that anybody received it; messages that arrive faster than they are handled are dropped beyond a
bound. Both are harmless because receipts, not acknowledgements, are what the programs act on.
"""

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

import aiomqtt
from msgspec import Meta, Struct
from paho.mqtt.reasoncodes import ReasonCode

from net.mqtt_client import HUNG_UP, Client

_REFUSED = 0x80
log = logging.getLogger(__name__)

BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 60.0
STABLE_S = 60.0  # a connection that lasted this long resets the back-off
PUBLISH_TIMEOUT_S = 20.0


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """TLS towards the broker: ``ca`` is the authority's certificate file, the system's where absent.

    ``certificate`` and ``key`` are this program's own, for brokers that ask for one.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


class Broker(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the broker is and how to be let in. The password stands in a file of its own."""

    host: Annotated[str, Meta(min_length=1, max_length=253)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    tls: Tls | None = None
    username: str | None = None
    password_file: str | None = None
    keepalive_s: Annotated[int, Meta(ge=5, le=600)] = 30


class BrokerError(Exception):
    """The broker's part of the configuration cannot work; the text says why and what to do."""


class Publication(Struct, frozen=True):
    """A message to publish, or to leave as last will."""

    topic: str
    payload: bytes
    retain: bool = False


OnMessage = Callable[[str, bytes], Awaitable[None]]
OnConnected = Callable[[], Awaitable[None]]


async def _ignore_message(topic: str, payload: bytes) -> None:
    log.debug("unexpected message on %s, %d bytes", topic, len(payload))


async def _do_nothing() -> None:
    pass


class Session:
    """One MQTT connection that comes back by itself, with full jitter (so that 6,000 do not come at once).

    ``problem`` tells a person why there is no connection, or is None while there is one. Beyond
    ``incoming_bound`` unhandled messages, further ones are dropped. Raises BrokerError on construction if
    certificate or password files cannot be used.
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
    ) -> None:
        self.problem: str | None = "not connected yet"
        self._broker = broker
        self._client_id = client_id
        self._subscriptions = tuple(subscriptions)
        self._on_message = on_message
        self._on_connected = on_connected
        self._will = will
        self._incoming_bound = incoming_bound
        self._tls = tls_context(broker.tls) if broker.tls else None
        self._password = _password(broker)
        self._client: aiomqtt.Client | None = None

    @property
    def connected(self) -> bool:
        """Whether a connection is believed to stand; only a receipt proves it."""
        return self._client is not None

    async def run(self) -> None:
        """Connect, serve and reconnect until cancelled."""
        failures = 0
        while True:
            began = time.monotonic()
            self.problem = await self._serve()
            failures = 0 if time.monotonic() - began > STABLE_S else failures + 1
            pause = random.uniform(0, longest_pause_s(failures))
            log.warning("%s; next try in %.1f s", self.problem, pause)
            await asyncio.sleep(pause)

    async def publish(self, publication: Publication, *, quality: int = 1) -> bool:
        """Publish; True once the broker acknowledged it, False if it could not be reached."""
        client = self._client
        if client is None:
            return False
        try:
            await client.publish(
                publication.topic,
                publication.payload,
                qos=quality,
                retain=publication.retain,
                timeout=PUBLISH_TIMEOUT_S,
            )
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            log.warning("not published on %s: %s", publication.topic, explain(error, self._broker))
            return False
        return True

    async def _serve(self) -> str:
        """One connection from beginning to end; returns why it ended."""
        try:
            async with self._new_client() as client:
                for topic in self._subscriptions:
                    if _refused(await client.subscribe(topic, qos=1)):
                        return f"{_place(self._broker)}: refuses to let this user read {topic}: see its ACL"
                self._client, self.problem = client, None
                log.info("connected to broker %s:%d", self._broker.host, self._broker.port)
                await self._on_connected()
                async for message in client.messages:
                    await self._handle(message)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            return explain(error, self._broker)
        finally:
            self._client = None
        return f"{_place(self._broker)} closed the connection"

    async def _handle(self, message: aiomqtt.Message) -> None:
        """Whatever one message does to its handler, it is neither the broker's fault nor the next one's."""
        try:
            await self._on_message(str(message.topic), _payload(message))
        except Exception:
            log.exception("internal error: a message on %s was not handled", message.topic)

    def _new_client(self) -> Client:
        left = self._will
        will = aiomqtt.Will(left.topic, left.payload, qos=1, retain=left.retain) if left else None
        return Client(
            self._broker.host,
            self._broker.port,
            identifier=self._client_id,
            username=self._broker.username,
            password=self._password,
            keepalive=self._broker.keepalive_s,
            timeout=PUBLISH_TIMEOUT_S,
            tls_context=self._tls,
            will=will,
            max_queued_incoming_messages=self._incoming_bound,
        )


def longest_pause_s(failures: int) -> float:
    """The longest wait, in seconds, before the next try after so many failed ones in a row."""
    doublings = min(failures, 10)  # unbounded, the power would overflow after hours without a broker
    return min(BACKOFF_LAST_S, BACKOFF_FIRST_S * float(2**doublings))


def tls_context(tls: Tls) -> ssl.SSLContext:
    """A client context that checks chain, name and dates. Raises BrokerError naming the file at fault."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
    except (OSError, ssl.SSLError) as error:
        raise BrokerError(
            f"broker.tls.ca: {tls.ca}: no usable authority certificate ({_why(error)})"
        ) from None
    if tls.key and not tls.certificate:
        raise BrokerError("broker.tls.key: of no use without broker.tls.certificate")
    if tls.certificate:
        try:
            # Without a password given, OpenSSL would ask for one at the terminal and wait.
            context.load_cert_chain(tls.certificate, tls.key, password="")
        except (OSError, ssl.SSLError) as error:
            raise BrokerError(
                f"broker.tls.certificate: {tls.certificate}: not usable ({_why(error)})"
            ) from None
    return context


def explain(error: Exception, broker: Broker) -> str:
    """Whose fault a connection's end was, and what to do about it, in one line without secrets."""
    place, text = _place(broker), str(error)
    if text == HUNG_UP:
        return f"{place}: {_HUNG_UP_ON_TLS if broker.tls else _HUNG_UP_ON_PLAIN}"
    for sign, words in _SIGNS:
        if sign.lower() in text.lower():
            return f"{place}: {words}"
    return f"{place}: {text or type(error).__name__}"


_SIGNS = (
    ("Connection refused", "nothing listens there: is the broker running, and is the port right?"),
    ("Name or service not known", "no such host name: mend broker.host or the site's DNS"),
    ("No address associated", "no address of this host name: mend broker.host or the site's DNS"),
    ("name resolution", "the site's DNS does not answer"),
    ("Not authori", "refuses this user name or password: see broker.username and broker.password_file"),
    (
        "Bad user name or password",
        "refuses this user name or password: see broker.username and broker.password_file",
    ),
    ("certificate has expired", "shows a certificate that has expired: renew it, or set this clock right"),
    ("certificate is not yet valid", "shows a certificate that is not valid yet: is this clock right?"),
    ("certificate is not valid for", "shows a certificate for another name than broker.host"),
    ("CERTIFICATE_VERIFY_FAILED", "shows a certificate that broker.tls.ca does not vouch for"),
    ("WRONG_VERSION_NUMBER", "does not speak TLS on this port: remove broker.tls or mend broker.port"),
    ("CERTIFICATE_REQUIRED", "asks for a client certificate: set broker.tls.certificate and broker.tls.key"),
    ("ALERT_UNKNOWN_CA", "does not vouch for our certificate: see broker.tls.certificate"),
    (
        "ALERT_HANDSHAKE_FAILURE",
        "agrees on no TLS with us: does it ask for a client certificate (broker.tls.certificate and .key)?",
    ),
    ("UNEXPECTED_EOF", "hangs up on TLS: remove broker.tls or mend broker.port"),
    ("Connection reset", "hangs up while we connect: is broker.tls right for this port?"),
    ("timed out", "no answer in time: the network drops it, or the broker hangs"),
    ("Network is unreachable", "the network is unreachable from here"),
    ("No route to host", "the network has no route there"),
)


_HUNG_UP_ON_PLAIN = "hangs up at once: does this port want TLS (set broker.tls), or speak no MQTT at all?"
_HUNG_UP_ON_TLS = (
    "hangs up at once: it may want a certificate that it vouches for "
    "(broker.tls.certificate and broker.tls.key)"
)


def _place(broker: Broker) -> str:
    return f"broker {broker.host}:{broker.port}"


def _refused(granted: Sequence[int | ReasonCode]) -> bool:
    """MQTT answers a refused subscription with 0x80 and above, and goes on."""
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
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BrokerError(f"broker.password_file: {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BrokerError(f"broker.password_file: {path}: not UTF-8 text") from None


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
