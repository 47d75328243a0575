"""Path helper: a short-lived program that traces the path to the peer, the only one that needs CAP_NET_RAW.

It reads a request of :mod:`wire.path.exchange` from standard input, writes the answer to standard output, and
keeps nothing. It opens its sockets, gives up its capability, and only then imports scapy and reads packets.
"""

import errno
import logging
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from agent.probes.path import sockets as path_sockets
from agent.probes.path.sockets import PathSockets
from net import timestamps
from wire.ip_layer import IPV4_UDP_BYTES, IPV6_UDP_BYTES
from wire.path import exchange, findings
from wire.path.exchange import PathAnswer, PathRequest
from wire.path.hops import Trace
from wire.path.mtu import MtuSearch
from wire.path.probing import AnswerKind, ProbeAnswer, ProbeAnswers, ProbeBatches, ProbePacket
from wire.records import Failure
from wire.stamp import packet as stamp_packet
from wire.stamp import tlv

# Bounds of the wait after the last packet of a batch, which is three times the longest round trip.
LONGEST_WAIT_S, SHORTEST_WAIT_S = 1.5, 0.5

BETWEEN_PACKETS_S = 0.01
GRACE_S = 5
# Lead over the monotonic clock that slewing alone can give the wall clock within seconds.
CLOCK_SLACK_NS = 1_000_000

NO_SCAPY = "scapy is not installed: pip install 'plancher[path]' into the agent's environment"
NO_RIGHT = (
    "the path helper lacks CAP_NET_RAW: have the service manager start it, behind path.helper, with that "
    "capability alone (docs/decisions/0012), or set schedule.path to null"
)


@dataclass(slots=True)
class _SentPacket:
    """One packet of the trace: its times in ns, and its answer.

    ``begun_ns`` and ``read_ns`` are monotonic, just before sending and just after receiving. ``sent_ns`` and
    ``received_ns`` are Unix times, of the kernel where it gives them. An ``unsent`` packet gets no answer, or
    the answer that it was too large for the interface.
    """

    begun_ns: int
    sent_ns: int
    unsent: bool = False
    answer: ProbeAnswer | None = None
    received_ns: int = 0
    read_ns: int = 0

    @property
    def is_settled(self) -> bool:
        return self.unsent or self.answer is not None

    @property
    def rtt_ns(self) -> int | None:
        """Round-trip time between timestamps; None if their clock was set in between."""
        rtt_ns, most_ns = self.received_ns - self.sent_ns, self.read_ns - self.begun_ns
        return rtt_ns if 0 <= rtt_ns <= most_ns + CLOCK_SLACK_NS else None


class _Shell:
    """Sends batches of packets of one flow and collects their answers. Counts bytes at the IP layer."""

    def __init__(self, request: PathRequest, sockets: PathSockets) -> None:
        # Imported here, when no capability is left: scapy parses what anybody may have sent.
        from agent.probes.path import packets as path_packets

        self._packets = path_packets
        self._request = request
        self._sockets = sockets
        self._flow = path_packets.Flow(
            sockets.source, request.address, sockets.source_port, request.port, request.dscp
        )
        self._ends = time.monotonic() + request.within_s
        self._sent: list[_SentPacket] = []
        self._first_numbered = 0  # the packet that the kernel numbers 0
        self._longest_ns = 0
        self.bytes_sent = self.bytes_received = 0
        self.refused: OSError | None = None

    @property
    def base(self) -> int:
        """IP bytes of a packet without padding."""
        return self._headers + len(self._request.test_packets[0])

    @property
    def _headers(self) -> int:
        return IPV6_UDP_BYTES if self._flow.over_ipv6 else IPV4_UDP_BYTES

    def run(self, batches: ProbeBatches) -> None:
        """Send what the core asks for, until it has enough, or time or test packets are used up."""
        try:
            probes = next(batches)
            while self._may_send(len(probes)):
                probes = batches.send(self._batch(probes))
        except StopIteration:
            return

    def _may_send(self, packets: int) -> bool:
        left = len(self._request.test_packets) - len(self._sent)
        return packets <= left and time.monotonic() < self._ends

    def _batch(self, probes: Sequence[ProbePacket]) -> ProbeAnswers:
        first = len(self._sent)
        with selectors.DefaultSelector() as selector:
            selector.register(self._sockets.icmp, selectors.EVENT_READ)
            selector.register(self._sockets.replies, selectors.EVENT_READ)
            for probe in probes:
                self._send(probe)
                self._read(selector, time.monotonic() + BETWEEN_PACKETS_S, ())
            batch = self._sent[first:]
            self._read(selector, time.monotonic() + self._wait_s, batch)
        self._take_transmit_stamps()
        return [self._timed(packet) for packet in batch]

    @property
    def _wait_s(self) -> float:
        known = self._longest_ns * 3e-9
        return min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, known)) if known else LONGEST_WAIT_S

    def _send(self, probe: ProbePacket) -> None:
        number = len(self._sent)
        payload = self._request.test_packets[number]
        missing = probe.size - self.base - tlv.HEADER_BYTES
        if probe.size and missing >= 0:
            # Behind the HMAC, which does not cover it (RFC 8972 section 4.8): no key is needed to pad.
            payload += tlv.Tlv(tlv.Type.EXTRA_PADDING, bytes(missing)).encode()
        data = self._packets.packet(self._flow, number, probe.ttl, payload)
        packet = _SentPacket(time.monotonic_ns(), time.time_ns())
        self._sent.append(packet)
        try:
            self._sockets.sending.sendto(data, (self._request.address, 0))
        except OSError as error:
            packet.unsent = True
            if error.errno == errno.EMSGSIZE:  # any other error says nothing of sizes
                packet.answer = ProbeAnswer(AnswerKind.UNSENT)
            self.refused = error
            self._take_transmit_stamps()
            timestamps.restart_numbering(self._sockets.sending)
            self._first_numbered = len(self._sent)
        else:
            self.bytes_sent += len(data)

    def _take_transmit_stamps(self) -> None:
        for place, sent_ns in timestamps.transmit_stamps(self._sockets.sending):
            number = self._first_numbered + place
            if number < len(self._sent):
                self._sent[number].sent_ns = sent_ns

    def _read(self, selector: selectors.BaseSelector, until: float, awaited: Sequence[_SentPacket]) -> None:
        """Read until that time, or until all awaited packets have an answer."""
        while (left := until - time.monotonic()) > 0:
            if awaited and all(packet.is_settled for packet in awaited):
                return
            for key, _ in selector.select(left):
                if key.fileobj is self._sockets.icmp:
                    self._read_icmp()
                else:
                    self._read_reply()

    def _read_icmp(self) -> None:
        received = timestamps.receive(self._sockets.icmp)
        if received is None:
            return
        found = self._packets.quoted(self._flow, received.payload, received.address[0].partition("%")[0])
        if found is not None:
            self.bytes_received += len(received.payload) + (40 if self._flow.over_ipv6 else 0)
            self._settle(found.number, found.answer, received.headers.received_ns)

    def _read_reply(self) -> None:
        received = timestamps.receive(self._sockets.replies)
        if received is None or received.address[:2] != (self._request.address, self._request.port):
            return
        self.bytes_received += len(received.payload) + self._headers
        numbers = stamp_packet.sequences(received.payload, authenticated=self._request.authenticated)
        if numbers is None:
            return
        reflected, number = numbers
        answer = ProbeAnswer(
            AnswerKind.REPLY,
            self._request.address,
            reflected=reflected,
            copied=reflected == number,
            payload=received.payload,
        )
        self._settle(number, answer, received.headers.received_ns)

    def _settle(self, number: int, answer: ProbeAnswer, received_ns: int) -> None:
        """Keep the first answer to a packet."""
        if not 0 <= number < len(self._sent):
            return
        packet = self._sent[number]
        if not packet.is_settled:
            packet.answer, packet.received_ns, packet.read_ns = answer, received_ns, time.monotonic_ns()

    def _timed(self, packet: _SentPacket) -> ProbeAnswer | None:
        if packet.unsent or packet.answer is None:
            return packet.answer
        self._longest_ns = max(self._longest_ns, packet.rtt_ns or 0)
        return replace(packet.answer, rtt_ns=packet.rtt_ns)


def trace(request: PathRequest, sockets: PathSockets) -> PathAnswer:
    """Trace the path and search its MTU."""
    shell = _Shell(request, sockets)
    hops = Trace(request.hops, request.packets)
    shell.run(hops.batches())
    if shell.refused is not None and not shell.bytes_sent:
        return _unsendable(request, shell.refused)
    search = None
    if hops.reached:
        search = MtuSearch(hops.hops, shell.base, path_sockets.interface_mtu(sockets.source))
        shell.run(search.batches())
    return PathAnswer(
        values=findings.seen(hops, search),
        replies=findings.replies(hops),
        limited_before=search.limited_before if search else None,
        bytes_sent=shell.bytes_sent,
        bytes_received=shell.bytes_received,
    )


def _unsendable(request: PathRequest, refused: OSError) -> PathAnswer:
    # A firewall of this machine that drops outgoing packets gives EPERM.
    forbidden = isinstance(refused, PermissionError)
    failure = Failure.CONFIGURATION if forbidden else Failure.UNREACHABLE
    why = "this machine's firewall lets no packet of the trace out" if forbidden else refused.strerror
    return PathAnswer(failure=failure, detail=f"{request.address}: {why}")


def answer(document: bytes) -> PathAnswer:
    """Answer to a request; a failure is an answer, too."""
    try:
        request = exchange.decode_request(document)
    except msgspec.DecodeError as error:
        return PathAnswer(failure=Failure.INTERNAL, detail=f"no request: {error}"[:300])
    signal.alarm(int(request.within_s) + GRACE_S)  # ends this program if its caller is gone
    try:
        with path_sockets.open_to(request.address, request.port) as sockets:
            # Before scapy is imported and before anything is read from the network.
            path_sockets.give_up_rights()
            return trace(request, sockets)
    except ImportError:
        return PathAnswer(failure=Failure.CONFIGURATION, detail=NO_SCAPY)
    except PermissionError:
        return PathAnswer(failure=Failure.CONFIGURATION, detail=NO_RIGHT)
    except OSError as error:
        return PathAnswer(failure=Failure.UNREACHABLE, detail=f"{request.address}: {error.strerror}")


def main() -> int:
    """Answer one request."""
    # The agent logs the last line of standard error: it should be a fault, not a warning of scapy.
    logging.getLogger("scapy").setLevel(logging.ERROR)
    signal.alarm(GRACE_S)  # ends this program if its caller sends no request
    document = sys.stdin.buffer.read(exchange.MOST_REQUEST_BYTES)
    sys.stdout.buffer.write(msgspec.json.encode(answer(document)))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
