"""Makes the report of one attempt, however far it came."""

from msgspec import Struct

from wire.udpstp import rates
from wire.udpstp.client_phase import LoadPhase
from wire.udpstp.load import Ending, LoadReport
from wire.udpstp.plan import Plan

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
