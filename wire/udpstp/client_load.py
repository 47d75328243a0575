"""Begins the client's part of a test as the server has accepted it."""

from msgspec import Struct
from msgspec.structs import replace

from wire.records import Algorithm, Direction
from wire.udpstp import pdu, rates
from wire.udpstp.client_phase import LoadPhase
from wire.udpstp.downstream import Downstream
from wire.udpstp.ends import rate_control
from wire.udpstp.ends.rate_control import is_sane
from wire.udpstp.load import Ending, LoadReport, Plan, Search
from wire.udpstp.upstream import Upstream

_S = 1_000_000_000

ALGORITHMS = {Algorithm.B: 0, Algorithm.C: 1}
"""rateAdjAlgo (§12.3.8)."""


def begin(plan: Plan, response: pdu.Activation, now: int, wall: int, overhead: int) -> LoadPhase:
    """Start the load as the server has accepted it; a test of another rate is stopped before it begins.

    The server's test length may differ from the one asked: a longer one is stopped early, a shorter one
    adopted.
    """
    fault = _coerced(plan, response)
    if fault:  # its values are not to be trusted: an interval of 0 would be an endless burst of Status PDUs
        response = replace(response, trial_interval=50, sub_interval=250, row=plan.row, modifiers=0)
    duration_ns = min(plan.duration_s, response.test_s) * _S
    phase: LoadPhase
    if plan.direction is Direction.DOWN:
        phase = Downstream(plan, response, duration_ns, now, overhead)
    else:
        phase = Upstream(plan, response, duration_ns, now, wall, overhead)
    if fault:
        phase.finish(now, Ending.COERCED, fault)
    return phase


def _coerced(plan: Plan, response: pdu.Activation) -> str:
    """What the server changed that makes it another test; empty when it is the one asked for (§7.3)."""
    if plan.search is not None:
        fault = _another_search(plan, plan.search, response)
    else:
        fault = _another_rate(plan, response)
    if fault:
        return fault
    if not response.test_s or not 5 <= response.trial_interval <= 250 or response.sub_interval < 100:
        return "the peer answered with impossible test parameters"
    return ""


def _another_rate(plan: Plan, response: pdu.Activation) -> str:
    if rate_control.is_search(response):
        return "the peer would search for the capacity instead of sending at a fixed rate"
    if response.row != plan.row:
        return f"the peer would send at row {response.row} instead of {plan.row}"
    if plan.direction is Direction.UP and response.rate != rates.sending_rate(plan.row):
        return "the peer's sending-rate table has another packet size or interval in that row"
    return ""


def _another_search(plan: Plan, search: Search, response: pdu.Activation) -> str:
    """A lower start is still the search asked for: the server may cap it (§7.2.1)."""
    if not rate_control.is_search(response):
        return "the peer would send at a fixed rate instead of searching for the capacity"
    if rate_control.start_row(response) > (search.start_row or 0):
        return f"the peer would begin its search at row {rate_control.start_row(response)}"
    if response.algorithm != ALGORITHMS[search.algorithm]:
        return "the peer would search by another algorithm"
    if plan.direction is Direction.UP and not is_sane(response.rate):
        return "the peer names a first sending rate that cannot be"
    return ""


_S = 1_000_000_000


class Around(Struct, frozen=True, kw_only=True):
    """What a report holds beside the load itself. ``ending`` and ``detail`` are those of the set-up."""

    ending: Ending
    detail: str
    refusal: int | None = None
    rtt_ns: int | None = None
    wall_step_ns: int = 0
    receiver_drops: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    bytes_spent: bool = False


def report(plan: Plan, session: str, phase: LoadPhase | None, around: Around) -> LoadReport:
    """Put together what the set-up and, if it came to that, the load left behind."""
    rate = rates.sending_rate(plan.row)
    fields: dict[str, object] = {}
    ending, detail, duration_ns = around.ending, around.detail, plan.duration_s * _S
    if phase is not None:
        ending, detail, duration_ns = phase.ending, phase.detail, phase.duration_ns
        fields = phase.fields()
    planned = 0 if plan.search else round(rates.packets_per_second(rate) * duration_ns / _S)
    round_trips = [value for value in (around.rtt_ns, fields.pop("rtt_ns", None)) if isinstance(value, int)]
    return LoadReport(
        session=session,
        direction=plan.direction,
        row=plan.row,
        planned_bps=round(rates.bits_per_second(rate)),
        planned_duration_us=duration_ns // 1000,
        planned_packets=planned,
        ending=ending,
        detail=detail,
        refusal=around.refusal,
        rtt_min_us=min(round_trips) // 1000 if round_trips else None,
        wall_step_us=around.wall_step_ns // 1000,
        receiver_drops=around.receiver_drops,
        bytes_sent=around.bytes_sent,
        bytes_received=around.bytes_received,
        algorithm=plan.search.algorithm if plan.search else None,
        bytes_spent=around.bytes_spent,
        **fields,  # type: ignore[arg-type]
    )
