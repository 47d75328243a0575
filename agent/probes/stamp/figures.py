"""Figures of a STAMP train for a person."""

from host.units import duration, percent
from wire.records import Spread, StampValues


def figures(values: StampValues) -> str:
    """One line of text."""
    parts = [f"RTT {_spread(values.rtt)}"] if values.rtt else []
    if values.loss_forward_ratio is None or values.loss_return_ratio is None:
        parts.append(f"loss {percent(values.loss_ratio)}")
    else:
        up, down = percent(values.loss_forward_ratio), percent(values.loss_return_ratio)
        parts.append(f"loss up {up} down {down}")
    for name, spread in (("up", values.variation_forward), ("down", values.variation_return)):
        if spread:
            parts.append(f"variation {name} p95 {duration(spread.p95_us)}")
    return ", ".join(parts)


def _spread(spread: Spread) -> str:
    """Figures in milliseconds, or, where one is below 0.1 ms, each with its own unit."""
    texts = [duration(us) for us in (spread.min_us, spread.p50_us, spread.p95_us, spread.p99_us)]
    unit = texts[0][-3:]
    if all(one.endswith(unit) for one in texts):
        texts = [*(one.removesuffix(unit) for one in texts[:-1]), texts[-1]]
    return "min/p50/p95/p99 " + "/".join(texts)
