"""The figures of one measurement as a person reads them, one function a probe."""

from host.units import counted, duration, megabits
from wire.records import (
    Bound,
    CapacityValues,
    ClockChange,
    ClockValues,
    FloorValues,
    InterfaceValues,
    PathValues,
    ReachabilityValues,
    Spread,
    StampValues,
    Standing,
    Values,
)


def of(values: Values) -> str:
    """The figures of any probe's values."""
    match values:
        case FloorValues():
            return _floor(values)
        case StampValues():
            return _stamp(values)
        case CapacityValues():
            return _capacity(values)
        case InterfaceValues():
            return _interface(values)
        case PathValues():
            return _path(values)
        case ReachabilityValues():
            return _reachability(values)
        case ClockValues():
            return _clock(values)


def _floor(values: FloorValues) -> str:
    bps, exact = values.told_capacity()
    figure = megabits(bps) if exact else f"at least {megabits(bps)}"
    parts = [f"{figure} Mbit/s", f"floor {megabits(values.floor_bps)} Mbit/s"]
    if values.loss_ratio:
        parts.append(f"loss {_percent(values.loss_ratio)}")
    if values.passive_us is not None:
        parts.append(f"carried by the site's own traffic for {values.passive_us / 1e6:.1f} s")
    if values.search_bps is not None:
        parts.append(f"a search found {megabits(values.search_bps)} Mbit/s at most")
    if values.standing not in (None, Standing.CLEAR):
        parts.append(f"direction {values.standing}")
    return ", ".join(parts)


def _stamp(values: StampValues) -> str:
    parts = [f"RTT {_spread(values.rtt)}"] if values.rtt else []
    if values.loss_forward_ratio is None or values.loss_return_ratio is None:
        parts.append(f"loss {_percent(values.loss_ratio)}")
    else:
        up, down = _percent(values.loss_forward_ratio), _percent(values.loss_return_ratio)
        parts.append(f"loss up {up} down {down}")
    for name, spread in (("up", values.variation_forward), ("down", values.variation_return)):
        if spread:
            parts.append(f"variation {name} p95 {duration(spread.p95_us)}")
    return ", ".join(parts)


def _spread(spread: Spread) -> str:
    """In milliseconds, or, where one is below 0.1 ms, each with its own unit."""
    told = [duration(us) for us in (spread.min_us, spread.p50_us, spread.p95_us, spread.p99_us)]
    unit = told[0][-3:]
    if all(one.endswith(unit) for one in told):
        told = [*(one.removesuffix(unit) for one in told[:-1]), told[-1]]
    return "min/p50/p95/p99 " + "/".join(told)


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio * 100:.3g} %"


def _capacity(values: CapacityValues) -> str:
    least = "" if values.bound is None else "at least "
    at_s = values.maximum_at_us / 1e6
    text = f"{least}{megabits(values.maximum_bps)} Mbit/s at {at_s:.1f} s, loss {_percent(values.loss_ratio)}"
    return text if values.bound is None else f"{text}, limited by {_BOUNDS[values.bound]}"


_BOUNDS = {
    Bound.REQUESTED_RATE: "the rate asked for",
    Bound.PEER: "the peer's highest rate",
    Bound.SENDER: "its sender",
    Bound.TIME: "its time",
    Bound.BUDGET: "the byte budget",
}


def _interface(values: InterfaceValues) -> str:
    """What is as it should be, no errors and a link that stays up, goes without saying."""
    flows = (("down", values.down), ("up", values.up))
    parts = [
        f"{name} {megabits(flow.mean_bps)} (peak {megabits(flow.peak_bps)}) Mbit/s" for name, flow in flows
    ]
    for what, counts in (
        ("errors", [flow.errors for _, flow in flows]),
        ("drops", [flow.drops for _, flow in flows]),
    ):
        if any(counts):
            parts.append(f"{what} down {_count(counts[0])} up {_count(counts[1])}")
    if values.carrier_losses:
        parts.append(f"link lost {counted(values.carrier_losses, 'time')}")
    if values.carrier is False:
        parts.append("no link")
    if values.resets:
        parts.append(f"counters began anew {counted(values.resets, 'time')}")
    return ", ".join([*parts, f"{values.interface} over {values.span_us / 1e6:.0f} s"])


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _path(values: PathValues) -> str:
    hops = counted(len(values.hops), "hop")
    parts = [hops if values.reached else f"not reached within {hops}"]
    if values.dscp_changed_at is not None:
        parts.append(f"DSCP becomes {values.dscp_became} before hop {values.dscp_changed_at}")
    if values.path_mtu_bytes is not None:
        parts.append(f"MTU {values.path_mtu_bytes} B")
    if values.black_hole:
        parts.append("larger packets vanish without a word")
    return ", ".join(parts)


def _reachability(values: ReachabilityValues) -> str:
    if values.end is None:
        return f"outage, cause {values.cause}"
    lasted_s = (values.end.wall_us - values.begin.wall_us) / 1e6
    if values.end.boot_id == values.begin.boot_id:
        lasted_s = (values.end.boot_us - values.begin.boot_us) / 1e6
    return f"outage over after {lasted_s:.0f} s, cause {values.cause}"


def _clock(values: ClockValues) -> str:
    said = {
        ClockChange.SYNCHRONISED: "wall clock synchronised",
        ClockChange.LOST: "wall clock no longer synchronised",
        ClockChange.STEPPED: "wall clock set",
        ClockChange.PEER: "wall clock not synchronised; the peer told the time",
    }[values.change]
    if values.peer_offset_us is not None:
        return f"{said}, {(values.offset_us - values.peer_offset_us) / 1e6:+.3f} s off"
    if values.before_us is None:
        return said
    return f"{said}, {(values.offset_us - values.before_us) / 1e6:+.3f} s"
