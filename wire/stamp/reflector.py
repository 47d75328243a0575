"""Core of the stateful Session-Reflector (RFC 8762 section 4.3, RFC 8972 sections 3 and 4).

A received packet becomes a ``Reflection`` or a ``Drop``, and only a verified packet changes any session. A
session is the 4-tuple and the SSID (RFC 8972 section 3). It has its own sequence counter, and begins with its
first valid packet.

A packet names no key. These are tried in this order:

1. the key of its session's last packet;
2. the keys of its address's last packets: a site begins a new session each minute, from another port;
3. all others, within the budget of ``trials``.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from ipaddress import ip_address

from wire.stamp import answer as tlv_answer
from wire.stamp.packet import (
    AUTHENTICATED_BASE_BYTES,
    BASE_BYTES,
    TWAMP_LIGHT_REPLY_BYTES,
    TWAMP_LIGHT_REQUEST_BYTES,
    PacketFault,
    Reply,
    Request,
    decode_request,
    draft_reply,
    looks_reflected,
    stamp_reply,
)
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.trials import TrialBudget

# An unknown packet costs one HMAC for each key.
MOST_KEYS = 256
# A site has one key, and two while it changes. A few sites may share an address.
_KEYS_OF_ADDRESS = 4
_MASK_32 = 0xFFFF_FFFF
# Of the authenticated layout, which alone is looked up by its session before it is verified.
_SSID_PLACE = slice(26, 28)


# Payload of the largest frame in use. A datagram in fragments measures no path, and 64 kB of TLVs would keep
# the reflector busy for 70 ms.
MOST_BYTES = 9216


class Drop(StrEnum):
    """Reason why a packet is not answered."""

    SHORT = "short"
    LONG = "long"
    UNAUTHENTICATED = "unauthenticated"
    BUDGET = "budget"
    """Of an unknown session, while too many of such packets arrive to try all keys on each."""
    OWN_PORT = "own-port"
    REFLECTED = "reflected"
    NOT_UNICAST = "not-unicast"


def any_dscp(_: int) -> bool:
    """Allow every requested DSCP."""
    return True


@dataclass(frozen=True, slots=True)
class ReflectorSettings:
    """Settings of a reflector.

    - ``keys``: at most 256, tried in this order, since a packet names no key.
    - ``open_mode``: also answer packets without a key.
    - ``most_sessions``: bounds the memory; beyond it the session with the oldest last packet is removed.
    - ``expiry_ns``: time without a packet after which a session and its counter are removed.
    - ``allows_dscp``: policy on requested reply DSCPs (RFC 8972 section 4.4).
    - ``extensions``: read the bytes behind the base packet as TLVs. False copies them, for TWAMP senders that
    pad.

    Raises ValueError for settings under which no packet could be answered.
    """

    keys: tuple[bytes, ...] = field(default=(), repr=False)
    open_mode: bool = False
    # 6,000 sites with five DSCP classes each.
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
class RequestArrival:
    """Receive time (T2, Unix ns), addresses and header fields of a request.

    ``dscp_ecn`` and ``ttl`` are None where the kernel gave none. Addresses are textual, as the socket gives
    them.
    """

    received_ns: int
    source: tuple[str, int]
    destination: tuple[str, int]
    dscp_ecn: int | None = None
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class Reflection:
    """Reply that lacks only its send time. ``dscp_ecn`` is the traffic class octet to send it with.

    ``follow_up``: the sender requests send times, to be set by ``SessionReflector.transmitted``.
    """

    draft: bytearray = field(repr=False)
    dscp_ecn: int
    key: bytes | None = field(repr=False)
    session: "_Session" = field(repr=False)
    sequence: int
    follow_up: bool

    def encode(self, now_ns: int) -> bytes:
        """Encode the reply with T3 = ``now_ns``; to be called immediately before sending."""
        # The time that this takes is part of the round trip: everything else is encoded before.
        stamp_reply(self.draft, to_ntp(now_ns), self.key)
        return bytes(self.draft)


@dataclass(slots=True)
class _Session:
    """``sent_ns``: the kernel's send stamp of the newest reply, 0 until it is known."""

    key: bytes | None = field(repr=False)
    last_packet_ns: int
    next_sequence: int = 0
    sent_ns: int = 0


_SessionName = tuple[tuple[str, int], tuple[str, int], int]


class SessionReflector:
    """Answers test packets.

    ``counters`` counts packets by ``Drop`` reason and ``answered``, and sessions ``evicted`` and ``expired``.
    """

    def __init__(self, settings: ReflectorSettings) -> None:
        self.counters: Counter[str] = Counter()
        self._settings = settings
        self._keys = frozenset(settings.keys)
        self._budget = TrialBudget()
        # Keys of verified packets, the latest first. In the order of their last packets, as the sessions.
        self._of_address: OrderedDict[str, tuple[bytes, ...]] = OrderedDict()
        # In the order of their last packets, the oldest first.
        self._sessions: OrderedDict[_SessionName, _Session] = OrderedDict()

    @property
    def sessions(self) -> int:
        """Number of sessions kept."""
        return len(self._sessions)

    def take(self, settings: ReflectorSettings) -> None:
        """Use other settings from now on; sessions continue, unless their key is no longer valid."""
        self._settings, self._keys = settings, frozenset(settings.keys)
        for session in self._sessions.values():
            # The counter survives a changed key: a new one would look like a restarted reflector to the
            # sender.
            if session.key not in self._keys:
                session.key = None

    def receive(self, data: bytes, arrival: RequestArrival, estimate: ErrorEstimate) -> Reflection | Drop:
        """Process one packet; ``estimate`` is that of the clock that stamps T2 and T3."""
        least = TWAMP_LIGHT_REQUEST_BYTES if self._settings.open_mode else BASE_BYTES
        refusal = _refusal(data, arrival, least)
        accepted = refusal or self._authenticate(data, arrival)
        if isinstance(accepted, Drop):
            self.counters[accepted] += 1
            return accepted
        request, key = accepted
        self.counters["answered"] += 1
        name = (arrival.source, arrival.destination, request.ssid)
        session = self._session(name, key, arrival.received_ns)
        return self._reflect(request, arrival, estimate, session)

    def transmitted(self, reflection: Reflection, sent_ns: int) -> None:
        """Set the kernel's transmit stamp of a reply (Unix ns), which the session's next reply reports.

        Without effect after that reply: a reply reports only the one before it (RFC 8972 section 4.7).
        """
        session = reflection.session
        # Otherwise a later reply is on its way: the stamp would be reported for the wrong one.
        if session.next_sequence == reflection.sequence + 1 & _MASK_32:
            session.sent_ns = sent_ns

    def knows(self, data: bytes, source: tuple[str, int], destination: tuple[str, int]) -> bool:
        """Check if a packet seems to be of a session: such packets go first where many wait."""
        ssid = int.from_bytes(data[_SSID_PLACE])
        return (source, destination, ssid) in self._sessions

    def _authenticate(self, data: bytes, arrival: RequestArrival) -> tuple[Request, bytes | None] | Drop:
        reason = Drop.UNAUTHENTICATED
        if len(data) >= AUTHENTICATED_BASE_BYTES:
            likely = self._likely_keys(data, arrival)
            found = next(_verified(data, likely), None)
            if found is None:
                found, reason = self._try_others(data, arrival, likely)
            if found is not None:
                self._remember(arrival.source[0], found[1])
                return self._unless_reflected(data, *found)
        if self._settings.open_mode:
            request = decode_request(data, None)
            # An error multiplier of 0 is not allowed (RFC 4656 section 4.1.2): these are the zeros of an
            # authenticated packet whose key is not ours, which open mode must not answer.
            if not isinstance(request, PacketFault) and request.estimate.multiplier:
                return self._unless_reflected(data, request, None)
        return reason

    def _unless_reflected(
        self, data: bytes, request: Request, key: bytes | None
    ) -> tuple[Request, bytes | None] | Drop:
        # Shorter ones are no replies, and TWAMP's padding may be random.
        may_be_reply = self._settings.extensions and len(data) >= TWAMP_LIGHT_REPLY_BYTES
        if may_be_reply and looks_reflected(data, authenticated=key is not None):
            # Two reflectors with one key would answer each other for ever after one packet with a forged
            # source.
            return Drop.REFLECTED
        return request, key

    def _likely_keys(self, data: bytes, arrival: RequestArrival) -> tuple[bytes, ...]:
        """Keys of the session and of the address, each once."""
        ssid = int.from_bytes(data[_SSID_PLACE])
        known = self._sessions.get((arrival.source, arrival.destination, ssid))
        of_session = (known.key,) if known and known.key is not None else ()
        likely = of_session + self._of_address.get(arrival.source[0], ())
        return tuple(key for key in dict.fromkeys(likely) if key in self._keys)

    def _try_others(
        self, data: bytes, arrival: RequestArrival, tried: tuple[bytes, ...]
    ) -> tuple[tuple[Request, bytes] | None, Drop]:
        others = [key for key in self._settings.keys if key not in tried]
        source, now_ns = arrival.source, arrival.received_ns
        if not self._budget.allows(source, len(others), now_ns):
            return None, Drop.BUDGET
        found = next(_verified(data, others), None)
        trials = len(others) if found is None else others.index(found[1]) + 1
        self._budget.spend(source, trials, now_ns, failed=found is None)
        return found, Drop.UNAUTHENTICATED

    def _remember(self, address: str, key: bytes) -> None:
        known = self._of_address.get(address, ())
        if not known or known[0] != key:
            others = tuple(one for one in known if one != key)
            self._of_address[address] = (key, *others)[:_KEYS_OF_ADDRESS]
        self._of_address.move_to_end(address)
        if len(self._of_address) > self._settings.most_sessions:
            self._of_address.popitem(last=False)

    def _session(self, name: _SessionName, key: bytes | None, now_ns: int) -> _Session:
        self._expire(now_ns)
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session(key, now_ns)
            if len(self._sessions) > self._settings.most_sessions:
                self._sessions.popitem(last=False)
                self.counters["evicted"] += 1
        session.key, session.last_packet_ns = key, now_ns
        # Kept in order of the last packet, so that expiry and eviction look at the front alone.
        self._sessions.move_to_end(name)
        return session

    def _expire(self, now_ns: int) -> None:
        while self._sessions:
            name, oldest = next(iter(self._sessions.items()))
            if now_ns - oldest.last_packet_ns <= self._settings.expiry_ns:
                return
            del self._sessions[name]
            self.counters["expired"] += 1

    def _reflect(
        self, request: Request, arrival: RequestArrival, estimate: ErrorEstimate, session: _Session
    ) -> Reflection:
        sequence = session.next_sequence
        answer = self._answer(request, arrival, session)
        # A stamp is reported once: the next reply must not repeat it for a packet it does not belong to.
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
        # Neither RFC fixes the reply's ECN. It is Not-ECT, since measurement packets do not react to
        # congestion.
        received_dscp = (arrival.dscp_ecn or 0) >> 2
        dscp = received_dscp if answer.dscp is None else answer.dscp
        draft = draft_reply(reply, session.key)
        return Reflection(draft, dscp << 2, session.key, session, sequence, answer.follow_up)

    def _answer(self, request: Request, arrival: RequestArrival, session: _Session) -> tlv_answer.TlvAnswer:
        if not self._settings.extensions:
            return tlv_answer.TlvAnswer(request.extra)
        terms = tlv_answer.TlvContext(
            request_sequence=request.sequence,
            reply_sequence=session.next_sequence,
            key=session.key,
            dscp_ecn=arrival.dscp_ecn,
            allows_dscp=self._settings.allows_dscp,
            previous_sent_ns=session.sent_ns,
        )
        return tlv_answer.answer(request.extra, terms)


def _verified(data: bytes, keys: Iterable[bytes]) -> Iterator[tuple[Request, bytes]]:
    """Packets read with each of the keys that verifies it."""
    for key in keys:
        request = decode_request(data, key)
        if not isinstance(request, PacketFault):
            yield request, key


def _refusal(data: bytes, arrival: RequestArrival, least: int) -> Drop | None:
    """Find a reason to drop the packet that needs no cryptography."""
    if len(data) < least:
        # Symmetric size keeps the amplification at 1. In open mode a TWAMP Light sender gets the base size
        # for less (section 4.6): 72 bytes of IP for 42 at most.
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
