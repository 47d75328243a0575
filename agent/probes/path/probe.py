"""Path probe: the routers on the way to the peer, what they do to the DSCP mark, and the path MTU.

A helper, :mod:`agent.probes.path.child`, runs for a few seconds and sends the packets. This module makes
them, because the key stays with the agent, and verifies the replies.
"""

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Sequence

import msgspec

from agent.probes.path import helper as path_helper
from agent.probes.path.helper import HelperError
from agent.probes.path.rules import ChangeDetector
from agent.probes.path.settings import PathSettings
from agent.task.task import ProbeContext, Progress, ReactingProbe, Reading, Task
from wire.path import exchange, verdict
from wire.path.exchange import PathAnswer, PathRequest
from wire.records import Failure, Hop, Measurement, Outcome, PathMeasurement, PathValues, StampValues
from wire.stamp.sender import SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate

log = logging.getLogger(__name__)

# Packets for the path MTU: two bisections of eleven sizes, three tries and a control each, and thirty routers
# asked three times.
SEARCH_PACKETS = 200

# Time beyond the helper's own time-out: its start on a slow machine, and a slow name server.
SLACK_S = 15.0


class PathProbe(ReactingProbe):
    """Probe of one trace a run, with one task a DSCP class of the STAMP settings.

    It reacts to the STAMP trains of a class with one more trace when they have changed.
    """

    record: type[Measurement] = PathMeasurement
    alone = False

    def __init__(self, context: ProbeContext) -> None:
        settings = context.settings
        self._path = settings.section(PathSettings)
        self._peer = settings.peer
        self._classes = settings.stamp.classes
        self._interval_s = settings.every_s("path")
        self._key = context.peer_key if settings.stamp.authenticated else None
        self._clock = context.clock
        self._address = context.peer_address
        self._detectors = {one.dscp: ChangeDetector() for one in settings.stamp.classes}
        self.deadline_s = self._path.timeout + SLACK_S

    def tasks(self) -> Sequence[Task]:
        """One task for each class of service; none where the schedule says never."""
        if self._interval_s is None:
            return []
        return [self._task(one.dscp) for one in self._classes]

    def react(self, task: Task, reading: Reading, now_us: int) -> Task | None:
        """Trace of the class whose round-trip time or loss has changed, if ``reading`` shows a change."""
        detector = self._detectors.get(task.dscp or 0)
        train = _train(reading) if task.probe == "stamp" else None
        if detector is None or train is None or self._interval_s is None:
            return None
        change = detector.take(*train, now_us)
        if change is None:
            return None
        log.info("%s: %s: tracing the path", task.name, change)
        return self._task(task.dscp or 0)

    def _task(self, dscp: int) -> Task:
        return Task("path", float(self._interval_s or 0), dscp=dscp)

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Trace the path to the peer in the task's class."""
        dscp = task.dscp or 0
        progress(f"the way to {self._peer.host} port {self._peer.stamp_port}, DSCP {dscp}")
        try:
            address = await self._resolve()
        except OSError as error:
            return _failed(Failure.NAME_UNKNOWN, f"{self._peer.host}: {error.strerror or error}")
        sender = SessionSender(SenderSettings(1 + secrets.randbelow(0xFFFF), self._key, wanted_dscp=dscp))
        try:
            answer = exchange.decode_answer(await self._ask(self._request(address, dscp, sender)))
        except OSError as error:
            where = f"path.helper: {self._path.helper}" if self._path.helper else "the path helper"
            return _failed(Failure.CONFIGURATION, f"{where}: {error.strerror}")
        except (HelperError, msgspec.DecodeError) as error:
            return _failed(Failure.INTERNAL, str(error))
        return reading(answer, sender, dscp)

    async def _resolve(self) -> str:
        host, loop = await self._address(), asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, self._peer.stamp_port, type=socket.SOCK_DGRAM)
        return str(found[0][4][0])

    def _request(self, address: str, dscp: int, sender: SessionSender) -> PathRequest:
        estimate = ErrorEstimate.of_clock(self._clock())
        count = self._path.hops * self._path.packets + SEARCH_PACKETS
        return PathRequest(
            address=address,
            port=self._peer.stamp_port,
            dscp=dscp,
            hops=self._path.hops,
            packets=self._path.packets,
            within_s=float(self._path.timeout),
            authenticated=self._key is not None,
            # All packets that trace and search can need: the helper has no key to make more (decision 12).
            test_packets=tuple(sender.packet(time.time_ns(), estimate) for _ in range(count)),
        )

    async def _ask(self, request: PathRequest) -> bytes:
        document = msgspec.json.encode(request)
        if self._path.helper is None:
            return await path_helper.ask_child(document, exchange.MOST_ANSWER_BYTES)
        return await path_helper.ask_socket(self._path.helper, document, exchange.MOST_ANSWER_BYTES)


def _train(reading: Reading) -> tuple[int | None, float] | None:
    """Median round-trip time and loss of a train; None for one that says nothing of the path."""
    if isinstance(reading.values, StampValues) and reading.outcome is Outcome.OK:
        rtt = reading.values.rtt
        return (rtt.p50_us if rtt else None), reading.values.loss_ratio
    return (None, 1.0) if reading.failure is Failure.NO_ANSWER else None


def reading(answer: PathAnswer, sender: SessionSender, dscp: int) -> Reading:
    """Reading of the helper's answer; ``sender`` made the packets, ``dscp`` is their class."""
    values = verdict.verified(answer, sender, dscp)
    if answer.failure is not None or values is None:
        return _failed(answer.failure or Failure.INTERNAL, answer.detail)
    # Not even the first router: the line is down, or a local firewall drops everything.
    silent = not any(hop.answered for hop in values.hops)
    return Reading(
        outcome=Outcome.FAILED if silent else Outcome.OK,
        values=None if silent else values,
        failure=Failure.NO_ANSWER if silent else None,
        detail="no router on the way answers, nor does the peer" if silent else _words(values, answer, dscp),
        bytes_sent=answer.bytes_sent,
        bytes_received=answer.bytes_received,
    )


def _failed(failure: Failure, detail: str) -> Reading:
    return Reading(Outcome.FAILED, failure=failure, detail=detail)


def _words(values: PathValues, answer: PathAnswer, dscp: int) -> str:
    """Changes that the path makes to packets, with the addresses where it does; empty without any."""
    parts = [_remark(values, dscp), _narrow(values, answer), _unreached(values, answer)]
    if values.return_mtu_bytes is not None:
        parts.append(f"replies above {values.return_mtu_bytes} B are lost")
    return "; ".join(part for part in parts if part)


def _remark(values: PathValues, dscp: int) -> str:
    # A router may quote a packet before or after it rewrote it: the change is between two hops.
    if values.dscp_changed_at is None:
        return ""
    before = [hop for hop in values.hops if hop.ttl < values.dscp_changed_at and hop.dscp is not None]
    after = _named(values.hops[values.dscp_changed_at - 1])
    since = _named(before[-1]) if before else "this site"
    return f"DSCP {dscp} becomes {values.dscp_became} between {since} and {after}"


def _narrow(values: PathValues, answer: PathAnswer) -> str:
    if values.path_mtu_bytes is None or not (values.black_hole or values.mtu_limited_by):
        return ""
    if values.mtu_limited_at is not None:
        where = f" behind {_named(values.hops[values.mtu_limited_at - 1])}"
    elif answer.limited_before is not None:
        where = f" before {_named(values.hops[answer.limited_before - 1])}"
    else:
        where = f" by {values.mtu_limited_by}" if values.mtu_limited_by else ""
    how = "vanish without a word" if values.black_hole else "are refused"
    return f"packets above {values.path_mtu_bytes} B {how}{where}"


def _unreached(values: PathValues, answer: PathAnswer) -> str:
    if values.reached:
        return ""
    return "what answers there has another key" if answer.replies else "the peer does not answer"


def _named(hop: Hop) -> str:
    return f"hop {hop.ttl} ({hop.address})" if hop.address else f"hop {hop.ttl}"
