"""Comparison of the emulated truth with the measured figures. Pure, so that a wrong truth can be tried.

Differences that are allowed, with their reasons:

* Capacity below the floor: 2 %. From the floor up, the probe only claims "at least the floor".
* Least round-trip time: 0.1 ms less than the emulated delays, or 1.5 ms more. Packets take time on the wire
  (0.2 ms at 6.5 Mbit/s), and an emulator in user space releases them late, never early. Where half of its
  packets were later, by the link's own account, so much later.
* Lost packets: within the central 99.9 % of the binomial distribution of the emulated loss. Packets that the
  link lost against its settings, by its own account, may come on top.
* Bytes: at least the measured ones crossed the link. Otherwise the link was not in the path.
* Peer comparison: agent and peer contradict each other about no load test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, lgamma, log, log1p

from host.units import megabits
from lab.demo.figures import DIRECTIONS, Capacity, SiteFigures
from lab.demo.sites import FLOOR_BPS, DemoDirection, DemoLine
from lab.links.link import LinkReport

CAPACITY_TOLERANCE = 0.02
RTT_BELOW_US, RTT_ABOVE_US = 100, 1_500
LOSS_CONFIDENCE = 0.999
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class FigureComparison:
    """One figure of one site: the truth, what is allowed of it, and what was measured, in words."""

    site: str
    figure: str
    truth: str
    allowed: str
    measured: str
    agrees: bool


def compare(line: DemoLine, figures: SiteFigures, link: LinkReport) -> list[FigureComparison]:
    """Every figure of a measured site against the truth about its line, and the account of its link."""
    return [
        compare_state(line.site.name, expected_state(line), figures.state),
        *_compare_floors(line, figures),
        *_compare_round_trips(line, figures, link),
        *_compare_losses(line, figures, link),
        *_compare_bytes(line, figures, link),
        _compare_sides(line, figures),
    ]


def compare_state(name: str, expected: str, state: str) -> FigureComparison:
    """The site's state on the page."""
    return FigureComparison(name, "state", expected, "", state or NOT_MEASURED, state == expected)


def expected_state(line: DemoLine) -> str:
    """The state that a site with this line must be shown in: no line is condemned within minutes."""
    return "suspect" if min(line.down.rate_bps, line.up.rate_bps) < FLOOR_BPS else "ok"


def is_complete(line: DemoLine, figures: SiteFigures, packets: int) -> bool:
    """Check that every figure can be compared, with enough packets to measure the loss."""
    return (
        all(direction in figures.passed and direction in figures.capacity for direction in DIRECTIONS)
        and line.site.dscps.keys() <= figures.rtt_min_s.keys()
        and figures.sent["up"] >= packets
        and figures.peer_comparisons["agree"] > 0
    )


def _directions(line: DemoLine) -> tuple[tuple[str, DemoDirection], ...]:
    return (("down", line.down), ("up", line.up))


def _compare_floors(line: DemoLine, figures: SiteFigures) -> Iterator[FigureComparison]:
    for name, direction in _directions(line):
        truth = direction.rate_bps >= FLOOR_BPS
        passed = figures.passed.get(name)
        said = NOT_MEASURED if passed is None else _verdict(passed)
        yield FigureComparison(line.site.name, f"verdict {name}", _verdict(truth), "", said, passed is truth)
        yield _compare_capacity(line.site.name, name, direction.rate_bps, figures.capacity.get(name))


def _verdict(passed: bool) -> str:
    return "pass" if passed else "fail"


def _compare_capacity(site: str, name: str, truth: int, capacity: Capacity | None) -> FigureComparison:
    below = truth < FLOOR_BPS
    allowed = f"±{CAPACITY_TOLERANCE:.0%}" if below else f"at least {megabits(FLOOR_BPS)}"
    measured, agrees = NOT_MEASURED, False
    if capacity is not None:
        figure = capacity.bits_per_second
        measured = f"{'' if capacity.exact else 'at least '}{megabits(figure)} Mbit/s"
        near = abs(figure - truth) <= CAPACITY_TOLERANCE * truth
        claimed = FLOOR_BPS <= figure <= (1 + CAPACITY_TOLERANCE) * truth
        agrees = near if capacity.exact else not below and claimed
    return FigureComparison(site, f"capacity {name}", f"{megabits(truth)} Mbit/s", allowed, measured, agrees)


def _compare_round_trips(
    line: DemoLine, figures: SiteFigures, link: LinkReport
) -> Iterator[FigureComparison]:
    truth_us = line.down.delay_us + line.up.delay_us
    above_us = max(RTT_ABOVE_US, 2 * (link.late_p50 or 0) // 1000)
    for dscp in line.site.dscps:
        least_s = figures.rtt_min_s.get(dscp)
        measured, agrees = NOT_MEASURED, False
        if least_s is not None:
            measured = f"{least_s * 1e3:.2f} ms"
            agrees = -RTT_BELOW_US <= least_s * 1e6 - truth_us <= above_us
        allowed = f"-{RTT_BELOW_US / 1e3:.1f} to +{above_us / 1e3:.1f} ms"
        yield FigureComparison(
            line.site.name, f"RTT min, DSCP {dscp}", f"{truth_us / 1e3:.2f} ms", allowed, measured, agrees
        )


def _compare_losses(line: DemoLine, figures: SiteFigures, link: LinkReport) -> Iterator[FigureComparison]:
    own = {"down": link.down_lost.total, "up": link.up_lost.total}
    for name, direction in _directions(line):
        sent, lost = figures.sent[name], figures.lost[name]
        least, most = binomial_interval(sent, direction.loss, LOSS_CONFIDENCE)
        most += own[name]
        measured = f"{lost / sent:.2%} ({lost} of {sent})" if sent else NOT_MEASURED
        allowed = f"{least} to {most} of {sent}" if sent else ""
        agrees = bool(sent) and least <= lost <= most
        yield FigureComparison(
            line.site.name, f"loss {name}", f"{direction.loss:.2%}", allowed, measured, agrees
        )


def _compare_bytes(line: DemoLine, figures: SiteFigures, link: LinkReport) -> Iterator[FigureComparison]:
    for name, bytes_crossed in (("down", link.down.delivered_bytes), ("up", link.up.offered_bytes)):
        measured = figures.bytes_spent[name]
        yield FigureComparison(
            line.site.name,
            f"crossed {name}",
            f"{bytes_crossed / 1e6:.3f} MB",
            "no more",
            f"{measured / 1e6:.3f} MB",
            0 < measured <= bytes_crossed,
        )


def _compare_sides(line: DemoLine, figures: SiteFigures) -> FigureComparison:
    agree, disagree = figures.peer_comparisons["agree"], figures.peer_comparisons["disagree"]
    measured = f"{agree} agree, {disagree} disagree" if agree or disagree else NOT_MEASURED
    return FigureComparison(
        line.site.name, "peer comparison", "one truth", "none disagrees", measured, agree > 0 and not disagree
    )


def binomial_interval(trials: int, probability: float, confidence: float) -> tuple[int, int]:
    """The least and most successes that the central ``confidence`` of a binomial distribution holds."""
    if trials == 0 or probability in (0, 1):
        return (round(trials * probability),) * 2
    tail = (1 - confidence) / 2
    least, most, below = 0, trials, 0.0
    for successes in range(trials + 1):
        share = _binomial(successes, trials, probability)
        if below <= tail < below + share:
            least = successes
        if below < 1 - tail <= below + share:
            most = successes
            break
        below += share
    return least, most


def _binomial(successes: int, trials: int, probability: float) -> float:
    failures = trials - successes
    ways = lgamma(trials + 1) - lgamma(successes + 1) - lgamma(failures + 1)
    return exp(ways + successes * log(probability) + failures * log1p(-probability))
