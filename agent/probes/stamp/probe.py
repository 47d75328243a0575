"""STAMP probe: latency, loss and delay variation of one DSCP class (RFC 8762)."""

from collections.abc import Sequence

from agent.settings.sections import ReflectorKind
from agent.task.task import ProbeContext, Progress, Reading, Task
from agent.train.stamp_session import Train, TrainResult, of_reflector, run_train
from host.units import counted
from wire.records import Failure, Measurement, Outcome, StampMeasurement, StampValues
from wire.stamp.sender import ReplyVerdict
from wire.stamp.statistics import TrainStatistics
from wire.stamp.timestamp import ErrorEstimate

_SLACK_S = 10.0  # for a slow name server and a busy machine


class StampProbe:
    """Probe of one train a run, with one task a DSCP class of the settings."""

    record: type[Measurement] = StampMeasurement
    alone = False

    def __init__(self, context: ProbeContext) -> None:
        settings = context.settings
        self._stamp = settings.stamp
        self._peer = settings.peer
        self._interval_s = settings.every_s("stamp") or 0.0
        self._key = context.peer_key if settings.stamp.authenticated else None
        self._clock = context.clock
        self._peer_time = context.peer_time
        self._address = context.peer_address
        self._peer_last_seen = context.peer_last_seen
        train_s = self._stamp.packets * self._stamp.spacing + self._stamp.timeout
        self.deadline_s = train_s + _SLACK_S

    def tasks(self) -> Sequence[Task]:
        """One task for each class of service."""
        return [Task("stamp", self._interval_s, dscp=one.dscp) for one in self._stamp.classes]

    async def run(self, task: Task, progress: Progress) -> Reading:
        """Send one train in the task's class, and judge the replies."""
        try:
            train = self._train(await self._address(), task.dscp or 0)
        except OSError as error:
            detail = f"{self._peer.host}: {error.strerror or error}"
            return Reading(Outcome.FAILED, failure=Failure.NAME_UNKNOWN, detail=detail)
        progress(f"{train.count} packets to {train.host} port {train.port}, DSCP {train.dscp}")
        # A clock that is set between these readings makes the train useless for the peer's time.
        before = self._clock()
        on_reply = self._peer_last_seen.record_answer if self._peer_last_seen else None
        result = await run_train(train, self._estimate, on_reply=on_reply)
        if train.key is not None:
            self._peer_time.learn(result.exchanges, before, self._clock())
        return _reading(train, result)

    def _train(self, address: str, dscp: int) -> Train:
        return Train(
            host=address,
            port=self._peer.stamp_port,
            count=self._stamp.packets,
            interval_s=self._stamp.spacing,
            timeout_s=self._stamp.timeout,
            dscp=dscp,
            key=self._key,
            class_of_service=self._stamp.reflector is not ReflectorKind.TWAMP_LIGHT,
            # A stateless reflector keeps no send time of its last reply (RFC 8972 section 4.7).
            follow_up=self._stamp.reflector is ReflectorKind.STATEFUL,
            **of_reflector(self._stamp.reflector),
        )

    def _estimate(self) -> ErrorEstimate:
        return ErrorEstimate.of_clock(self._clock())


def _reading(train: Train, result: TrainResult) -> Reading:
    failure, detail = _failure(train, result)
    answered = result.statistics.received > 0
    outcome = Outcome.OK if failure is None else Outcome.INVALID if answered else Outcome.FAILED
    return Reading(
        outcome=outcome,
        values=_values(train, result.statistics) if answered else None,
        failure=failure,
        detail=detail or _class_changes(train, result.statistics),
        session=result.session,
        bytes_sent=result.bytes_sent,
        bytes_received=result.bytes_received,
    )


def _failure(train: Train, result: TrainResult) -> tuple[Failure | None, str]:
    """Failure of a train without usable replies, and its text for a person; None for a good one."""
    where = f"{train.host} port {train.port}"
    # Our own faults come first: with them, missing replies prove nothing of line or peer.
    if result.failure is not None:
        return result.failure, result.detail
    if result.send_failure is not None:
        return result.send_failure, f"{counted(result.unsent, 'packet')} could not be sent: {result.detail}"
    if result.clock_step_us:
        return Failure.CLOCK_STEPPED, f"the wall clock jumped by {result.clock_step_us} us during the train"
    if result.statistics.received:
        return None, ""
    if result.received[ReplyVerdict.BAD_HMAC]:
        return Failure.PEER_PROTOCOL, f"{where} answers with another key"
    if result.received.total() - result.received[ReplyVerdict.CLOSING] > result.statistics.late:
        return Failure.PEER_PROTOCOL, f"the program at {where} (peer.stamp_port) does not speak STAMP"
    if result.refused:
        return Failure.PEER_REFUSED, f"nothing listens on {where}"
    return Failure.NO_ANSWER, f"no answer from {where}"


def _class_changes(train: Train, seen: TrainStatistics) -> str:
    """Changes of the class of service, each direction apart; empty without any.

    Replies are judged by the class that the peer was asked to use, and accepted (RFC 8972 section 4.4). A
    reply that the peer already sent in another class says nothing of the line.
    """
    changes = []
    if seen.forward_dscp is not None and seen.forward_dscp != train.dscp:
        changes.append(f"DSCP {train.dscp} reached the peer as {seen.forward_dscp}")
    if seen.refused_dscp:
        changes.append(f"the peer does not answer in DSCP {train.dscp}")
    elif seen.reply_dscp is not None and seen.reply_dscp != train.dscp:
        known = seen.forward_dscp is not None
        where_changed = (
            "" if known else ", changed in either direction: the peer does not report what it received"
        )
        changes.append(f"the replies' DSCP {train.dscp} arrived as {seen.reply_dscp}{where_changed}")
    return "; ".join(changes)


def _values(train: Train, seen: TrainStatistics) -> StampValues:
    return StampValues(
        sent=seen.sent,
        received=seen.received,
        timeout_us=seen.timeout_us,
        loss_ratio=seen.loss_ratio,
        loss_forward_ratio=seen.loss.forward_ratio if seen.loss else None,
        loss_return_ratio=seen.loss.return_ratio if seen.loss else None,
        rtt=seen.rtt,
        variation_forward=seen.variation_forward,
        variation_return=seen.variation_return,
        delay_forward=seen.delay_forward,
        delay_return=seen.delay_return,
        reordered_forward=seen.reordered_forward,
        reordered_return=seen.reordered_return,
        duplicated=seen.duplicated_forward + seen.duplicated_return,
        forward_dscp=seen.forward_dscp,
        reply_dscp=seen.reply_dscp,
        requested_dscp=train.dscp if train.class_of_service else None,
        reply_refused=seen.refused_dscp,
        authenticated=train.key is not None,
        kernel_stamps=seen.kernel_stamps,
    )
