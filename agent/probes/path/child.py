"""The path helper: a short-lived program that traces the way to the peer, the only one to need CAP_NET_RAW.

A request of :mod:`wire.path.exchange` on standard input, the answer on standard output, nothing kept. It
opens its sockets, gives up the right to open more, and only then loads scapy and listens.
"""

import errno
import logging
import selectors
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

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

LONGEST_WAIT_S, SHORTEST_WAIT_S = 1.5, 0.5
"""For answers, after the last packet of a batch: three times the largest round trip seen, within these."""

BETWEEN_PACKETS_S = 0.01
GRACE_S = 5
CLOCK_SLACK_NS = 1_000_000
"""So far a clock that is only slewed may run ahead of the monotonic one within seconds."""

NO_SCAPY = "scapy is not installed: pip install 'plancher[path]' into the agent's environment"
NO_RIGHT = (
    "the path helper lacks CAP_NET_RAW: have the service manager start it, behind path.helper, with that "
    "capability alone (docs/decisions/0012), or set schedule.path to null"
)


class _Shell:
    """Sends batches of packets of one flow and collects their answers. Counts bytes at the IP layer."""

    def __init__(self, request: PathRequest, sockets: PathSockets) -> None:
        # Loaded here, when no right is left: it reads what anybody may have sent.
        from agent.probes.path import packets as path_packets

        self._packets = path_packets
        self._request = request
        self._sockets = sockets
        self._flow = path_packets.Flow(
            sockets.source, request.address, sockets.source_port, request.port, request.dscp
        )
        self._ends = time.monotonic() + request.within_s
        self._sent: list[int] = []  # Unix ns, by the kernel where it says
        self._begun: list[int] = []  # monotonic, a moment before
        self._came: dict[int, ProbeAnswer] = {}
        self._arrivals: dict[int, tuple[int, int]] = {}  # Unix ns by the kernel, and monotonic a moment later
        self._unsent: dict[int, ProbeAnswer | None] = {}
        self._first_numbered = 0  # the packet that the kernel numbers 0
        self._longest_ns = 0
        self.bytes_sent = self.bytes_received = 0
        self.refused: OSError | None = None

    @property
    def base(self) -> int:
        """IP bytes of a packet that is not padded."""
        headers = IPV6_UDP_BYTES if self._flow.over_ipv6 else IPV4_UDP_BYTES
        return headers + len(self._request.test_packets[0])

    def run(self, batches: ProbeBatches) -> None:
        """Send what the core asks for, until it has enough or time or test packets are up."""
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
        numbers = range(len(self._sent), len(self._sent) + len(probes))
        with selectors.DefaultSelector() as selector:
            selector.register(self._sockets.icmp, selectors.EVENT_READ)
            selector.register(self._sockets.replies, selectors.EVENT_READ)
            for probe in probes:
                self._send(probe)
                self._read(selector, time.monotonic() + BETWEEN_PACKETS_S, ())
            self._read(selector, time.monotonic() + self._wait_s, numbers)
        self._take_transmit_stamps()
        return [self._timed(number) for number in numbers]

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
        self._begun.append(time.monotonic_ns())
        self._sent.append(time.time_ns())
        try:
            self._sockets.sending.sendto(data, (self._request.address, 0))
        except OSError as error:
            # Any other refusal says nothing of sizes: an interface that is down refuses them all.
            self._unsent[number] = ProbeAnswer(AnswerKind.UNSENT) if error.errno == errno.EMSGSIZE else None
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
                self._sent[number] = sent_ns

    def _read(self, selector: selectors.BaseSelector, until: float, awaited: Sequence[int]) -> None:
        """Read until then, or until everything awaited has an answer."""
        while (left := until - time.monotonic()) > 0:
            if awaited and all(number in self._came or number in self._unsent for number in awaited):
                return
            for key, _ in selector.select(left):
                if key.fileobj is self._sockets.icmp:
                    self._read_icmp()
                else:
                    self._read_reply()

    def _read_icmp(self) -> None:
        came = timestamps.receive(self._sockets.icmp)
        if came is None:
            return
        found = self._packets.quoted(self._flow, came.payload, came.address[0].partition("%")[0])
        if found is not None:
            self.bytes_received += len(came.payload) + (40 if self._flow.over_ipv6 else 0)
            self._keep(found.number, found.answer, came.headers.received_ns)

    def _read_reply(self) -> None:
        came = timestamps.receive(self._sockets.replies)
        if came is None or came.address[:2] != (self._request.address, self._request.port):
            return
        headers = IPV6_UDP_BYTES if self._flow.over_ipv6 else IPV4_UDP_BYTES
        self.bytes_received += len(came.payload) + headers
        numbers = stamp_packet.sequences(came.payload, authenticated=self._request.authenticated)
        if numbers is None:
            return
        reflected, number = numbers
        answer = ProbeAnswer(
            AnswerKind.REPLY,
            self._request.address,
            reflected=reflected,
            copied=reflected == number,
            payload=came.payload,
        )
        self._keep(number, answer, came.headers.received_ns)

    def _keep(self, number: int, answer: ProbeAnswer, received_ns: int) -> None:
        if 0 <= number < len(self._sent) and number not in self._came:
            self._came[number] = answer
            self._arrivals[number] = received_ns, time.monotonic_ns()

    def _timed(self, number: int) -> ProbeAnswer | None:
        if number in self._unsent:
            return self._unsent[number]
        if number not in self._came:
            return None
        rtt_ns = self._rtt_ns(number)
        self._longest_ns = max(self._longest_ns, rtt_ns or 0)
        return replace(self._came[number], rtt_ns=rtt_ns)

    def _rtt_ns(self, number: int) -> int | None:
        """From stamp to stamp; None if the clock that gives them was set in between."""
        received_ns, read_ns = self._arrivals[number]
        rtt_ns, most_ns = received_ns - self._sent[number], read_ns - self._begun[number]
        return rtt_ns if 0 <= rtt_ns <= most_ns + CLOCK_SLACK_NS else None


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
    """A firewall of this machine says EPERM where it drops what goes out."""
    forbidden = isinstance(refused, PermissionError)
    failure = Failure.CONFIGURATION if forbidden else Failure.UNREACHABLE
    why = "this machine's firewall lets no packet of the trace out" if forbidden else refused.strerror
    return PathAnswer(failure=failure, detail=f"{request.address}: {why}")


def answer(document: bytes) -> PathAnswer:
    """What to answer to a request; every failure is one, too."""
    try:
        request = exchange.decode_request(document)
    except msgspec.DecodeError as error:
        return PathAnswer(failure=Failure.INTERNAL, detail=f"no request: {error}"[:300])
    signal.alarm(int(request.within_s) + GRACE_S)  # whoever asked may be gone
    try:
        with path_sockets.open_to(request.address, request.port) as sockets:
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
    logging.getLogger("scapy").setLevel(logging.ERROR)
    signal.alarm(GRACE_S)  # whoever connected may have nothing to ask
    document = sys.stdin.buffer.read(exchange.MOST_REQUEST_BYTES)
    sys.stdout.buffer.write(msgspec.json.encode(answer(document)))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
