"""The stateful Session-Reflector core (RFC 8762 section 4.3, RFC 8972 sections 3 and 4).

Bytes, addresses and ``now`` in; a reflection or the reason for a drop out. A session is the 4-tuple and
the SSID (RFC 8972 section 3), has its own sequence counter, and is known only once a valid packet has
come from it. Brief requests (``wire.stamp.brief``) are answered without one, as a stateless reflector does.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address

from wire.stamp import answer as tlv_answer
from wire.stamp import brief
from wire.stamp.packet import (
    AUTHENTICATED_BASE_BYTES,
    BASE_BYTES,
    Fault,
    Reply,
    Request,
    decode_request,
    draft_reply,
    looks_reflected,
    stamp_reply,
)
from wire.stamp.timestamp import ErrorEstimate, to_ntp

MOST_KEYS = 256
_MASK_32 = 0xFFFF_FFFF
_SSID_PLACE = slice(26, 28)


MOST_BYTES = 9216
"""The largest frame in use carries no more. A datagram in fragments measures no path, and 64 kB of TLVs would
keep the reflector busy for 70 ms."""


class Drop(StrEnum):
    """Why a packet is not answered."""

    SHORT = "short"
    LONG = "long"
    UNAUTHENTICATED = "unauthenticated"
    OWN_PORT = "own-port"
    REFLECTED = "reflected"
    NOT_UNICAST = "not-unicast"


def any_dscp(_: int) -> bool:
    """The policy that obeys every requested DSCP."""
    return True


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    """How a reflector serves.

    ``keys``: at most 256, tried in this order; a packet names no key. An unauthenticated one whose HMAC TLV
    holds by one of them is answered, too (RFC 8972 section 4.8). ``open_mode``: also answer those without.
    ``most_sessions`` bounds the memory: beyond it the session longest unheard goes. ``expiry_ns``: a session
    unheard for so long is forgotten, and its counter with it. ``allows_dscp``: whether a requested reply DSCP
    is obeyed (RFC 8972 section 4.4). ``extensions``: read what follows the base packet as TLVs; False copies
    it, for TWAMP senders that pad.

    Raises ValueError for settings under which nothing could be answered.
    """

    keys: tuple[bytes, ...] = field(default=(), repr=False)
    open_mode: bool = False
    most_sessions: int = 32_768
    expiry_ns: int = 60_000_000_000
    allows_dscp: Callable[[int], bool] = any_dscp
    extensions: bool = True

    def __post_init__(self) -> None:
        if not self.keys and not self.open_mode:
            raise ValueError("a STAMP reflector needs a key, or open mode switched on")
        if len(self.keys) > MOST_KEYS:
            raise ValueError(f"a STAMP reflector takes at most {MOST_KEYS} keys, not {len(self.keys)}")
        if not all(self.keys):
            raise ValueError("a STAMP key must not be empty")
        if self.most_sessions < 1 or self.expiry_ns < 1:
            raise ValueError("a STAMP reflector needs room for a session and a time to keep it")


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where and how a packet came. ``dscp_ecn`` and ``ttl`` are None where the kernel did not say.

    ``received_ns``: Unix nanoseconds (T2). Addresses are textual, as the socket gives them.
    """

    received_ns: int
    source: tuple[str, int]
    destination: tuple[str, int]
    dscp_ecn: int | None = None
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Reflection:
    """A reply that lacks only its sending time. ``dscp_ecn`` is the traffic class octet to send it with.

    ``follow_up``: the sender asks for true sending times, to be supplied by ``Reflector.transmitted``.
    """

    draft: bytearray = field(repr=False)
    dscp_ecn: int
    key: bytes | None = field(repr=False)
    session: "_Session" = field(repr=False)
    sequence: int
    follow_up: bool

    def encode(self, now_ns: int) -> bytes:
        """The reply's bytes, with T3 = ``now_ns``: call it last thing before sending.

        What this takes stands in the round trip, so everything else is encoded beforehand.
        """
        stamp_reply(self.draft, to_ntp(now_ns), self.key)
        return bytes(self.draft)


@dataclass(slots=True)
class _Session:
    """``key``: of the packets, or of their TLVs alone where they are brief.

    ``sent_ns``: when the newest reply left by the kernel's stamp, 0 until that is known.
    """

    key: bytes | None = field(repr=False)
    heard_ns: int
    next_sequence: int = 0
    sent_ns: int = 0


_Accepted = tuple[Request, bytes | None, bool]
_SessionName = tuple[tuple[str, int], tuple[str, int], int]


class Reflector:
    """Answers test packets.

    ``counters``: packets by ``Drop`` reason and ``answered``; sessions ``evicted`` and ``expired``.
    """

    def __init__(self, settings: ReflectorSettings) -> None:
        self.counters: Counter[str] = Counter()
        self._settings = settings
        # In order of last packet, the longest unheard first.
        self._sessions: OrderedDict[_SessionName, _Session] = OrderedDict()

    @property
    def sessions(self) -> int:
        """How many sessions are remembered."""
        return len(self._sessions)

    def take(self, settings: ReflectorSettings) -> None:
        """Serve by other settings from now on. Sessions go on; a key that is no longer there proves none."""
        self._settings = settings
        for session in self._sessions.values():
            if session.key not in settings.keys:
                session.key = None

    def receive(self, data: bytes, arrival: Arrival, estimate: ErrorEstimate) -> Reflection | Drop:
        """Judge one packet; ``estimate`` is of the clock that stamps T2 and T3."""
        refusal = _refusal(data, arrival)
        accepted = refusal or self._authenticate(data, arrival)
        if isinstance(accepted, Drop):
            self.counters[accepted] += 1
            return accepted
        request, key, is_brief = accepted
        self.counters["answered"] += 1
        if is_brief:
            # Their SSID is not covered: who has overheard one could fill the sessions with it. The reply's
            # number is the request's (RFC 8762 section 4).
            session = _Session(key, arrival.received_ns, request.sequence)
            return self._reflect(request, arrival, estimate, session, None)
        name = (arrival.source, arrival.destination, request.ssid)
        session = self._session(name, key, arrival.received_ns)
        return self._reflect(request, arrival, estimate, session, key)

    def transmitted(self, reflection: Reflection, sent_ns: int) -> None:
        """Supply the kernel's transmit stamp of a reply (Unix ns), for the session's next one to tell.

        Without effect once that has been made: it tells of the reply right before it alone (RFC 8972
        section 4.7).
        """
        session = reflection.session
        if session.next_sequence == reflection.sequence + 1 & _MASK_32:
            session.sent_ns = sent_ns

    def _authenticate(self, data: bytes, arrival: Arrival) -> _Accepted | Drop:
        if self._settings.extensions and (found := self._proved_by_tlv(data)) is not None:
            return found
        for key in self._candidates(data, arrival):
            request = decode_request(data, key)
            if isinstance(request, Fault) or (key is None and request.estimate.multiplier == 0):
                # An error multiplier of 0 is not allowed (RFC 4656 section 4.1.2): these are the zeros of an
                # authenticated packet whose key is not ours, which open mode must not answer.
                continue
            if self._settings.extensions and looks_reflected(data, authenticated=key is not None):
                # Two reflectors of one key would answer each other for ever, once set going by a forged
                # source.
                return Drop.REFLECTED
            return request, key, False
        return Drop.UNAUTHENTICATED

    def _proved_by_tlv(self, data: bytes) -> _Accepted | Drop | None:
        asked = brief.read_request(data)
        if asked is None:
            return None
        for key in self._settings.keys:
            if asked.proof.holds(key):
                reflected = asked.is_reply or looks_reflected(data, authenticated=False)
                return Drop.REFLECTED if reflected else (asked.request, key, True)
        return None

    def _candidates(self, data: bytes, arrival: Arrival) -> Iterator[bytes | None]:
        """The keys to try, the one that this session's last packet was proved by first; None is open mode."""
        if len(data) >= AUTHENTICATED_BASE_BYTES:
            yield from self._keys(arrival, data[_SSID_PLACE])
        if self._settings.open_mode:
            yield None

    def _keys(self, arrival: Arrival, ssid: bytes) -> Iterator[bytes]:
        known = self._sessions.get((arrival.source, arrival.destination, int.from_bytes(ssid)))
        remembered = known.key if known else None
        if remembered is not None:
            yield remembered
        yield from (key for key in self._settings.keys if key != remembered)

    def _session(self, name: _SessionName, key: bytes | None, now_ns: int) -> _Session:
        self._expire(now_ns)
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session(key, now_ns)
            if len(self._sessions) > self._settings.most_sessions:
                self._sessions.popitem(last=False)
                self.counters["evicted"] += 1
        session.key, session.heard_ns = key, now_ns
        self._sessions.move_to_end(name)
        return session

    def _expire(self, now_ns: int) -> None:
        while self._sessions:
            name, oldest = next(iter(self._sessions.items()))
            if now_ns - oldest.heard_ns <= self._settings.expiry_ns:
                return
            del self._sessions[name]
            self.counters["expired"] += 1

    def _reflect(
        self,
        request: Request,
        arrival: Arrival,
        estimate: ErrorEstimate,
        session: _Session,
        base_key: bytes | None,
    ) -> Reflection:
        sequence = session.next_sequence
        answer = self._answer(request, arrival, session)
        session.next_sequence, session.sent_ns = sequence + 1 & _MASK_32, 0
        reply = Reply(
            sequence=sequence,
            timestamp=0,
            estimate=estimate,
            ssid=request.ssid,
            received=to_ntp(arrival.received_ns),
            sender_sequence=request.sequence,
            sender_timestamp=request.timestamp,
            sender_estimate=request.estimate,
            sender_ttl=arrival.ttl,
            extra=answer.extra,
        )
        # Neither RFC fixes the reply's ECN: a measurement packet that does not react to congestion
        # claims none.
        received_dscp = (arrival.dscp_ecn or 0) >> 2
        dscp = received_dscp if answer.dscp is None else answer.dscp
        draft = draft_reply(reply, base_key)
        return Reflection(draft, dscp << 2, base_key, session, sequence, answer.follow_up)

    def _answer(self, request: Request, arrival: Arrival, session: _Session) -> tlv_answer.Answer:
        if not self._settings.extensions:
            return tlv_answer.Answer(request.extra)
        terms = tlv_answer.Terms(
            request_sequence=request.sequence,
            reply_sequence=session.next_sequence,
            key=session.key,
            dscp_ecn=arrival.dscp_ecn,
            allows_dscp=self._settings.allows_dscp,
            previous_sent_ns=session.sent_ns,
        )
        return tlv_answer.answer(request.extra, terms)


def _refusal(data: bytes, arrival: Arrival) -> Drop | None:
    """What can be refused before any cryptography."""
    if len(data) < BASE_BYTES:
        # Symmetric size keeps the amplification at 1; answering less with the base size would not
        # (section 4.6).
        return Drop.SHORT
    if len(data) > MOST_BYTES:
        return Drop.LONG
    if arrival.source[1] == arrival.destination[1]:
        # Two reflectors would answer each other for ever.
        return Drop.OWN_PORT
    if _is_group(arrival.destination[0]):
        return Drop.NOT_UNICAST
    return None


@lru_cache(maxsize=256)
def _is_group(address: str) -> bool:
    host = ip_address(address.partition("%")[0])
    return host.is_multicast or str(host) == "255.255.255.255"
