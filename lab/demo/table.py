"""Tables of the demo: the live table, plain lines, and the closing comparison."""

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from host.units import counted, megabits
from lab.demo.compare import FigureComparison
from lab.demo.figures import DIRECTIONS, SiteFigures
from lab.demo.sites import DemoDirection, DemoLine, DemoSite

STATE_STYLES = {"ok": "bold green", "below-floor": "bold red", "suspect": "red", "silent": "bold yellow"}
NOTHING_YET = "…"
MARKS = {True: " ✓", False: " ✗", None: "  "}
VERDICT_STYLES = {True: "green", False: "bold red", None: ""}


def live(
    lines: Iterable[DemoLine], others: Iterable[DemoSite], sites: Mapping[str, SiteFigures], now_s: float
) -> Table:
    """Build the live table: emulated above measured for each line. ``now_s``: Unix time.

    It fits a terminal of 80 columns and 24 lines.
    """
    table = Table(box=SIMPLE_HEAD, padding=0, leading=1, pad_edge=False, show_edge=False)
    table.add_column("DemoSite", no_wrap=True, min_width=26)
    table.add_column("", style="dim", no_wrap=True)
    for heading in ("↓ Mbit/s", "↑ Mbit/s", "RTT ms", "Loss %", "s ago"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*_cells(line, sites.get(line.site.site_id, SiteFigures()), now_s))
    for site in others:
        table.add_row(_site(site, sites.get(site.site_id, SiteFigures())), "no agent")
    table.caption, table.caption_justify = _caption(lines, sites), "left"
    return table


def _cells(line: DemoLine, figures: SiteFigures, now_s: float) -> tuple[Text, ...]:
    delay_ms = (line.down.delay_us + line.up.delay_us) / 1e3
    losses = f"{100 * line.down.loss:.1f} {100 * line.up.loss:.1f}"
    age = "" if figures.newest_s is None else f"{max(0.0, now_s - figures.newest_s):.0f}"
    return (
        _site(line.site, figures),
        Text("emulated\nmeasured"),
        _capacity(line.down, figures, "down"),
        _capacity(line.up, figures, "up"),
        Text(f"{delay_ms:.2f}\n{_round_trips(figures)}"),
        Text(f"{losses}\n{_losses(figures)}"),
        Text(f"\n{age}"),
    )


def _site(site: DemoSite, figures: SiteFigures) -> Text:
    state = figures.state or NOTHING_YET
    place = f"\n{site.commune} ({site.departement}): "
    return Text.assemble(site.name, (place, "dim"), (state, STATE_STYLES.get(state, "dim")))


def _capacity(truth: DemoDirection, figures: SiteFigures, name: str) -> Text:
    measured, passed = figures.capacity.get(name), figures.passed.get(name)
    emulated = f"{megabits(truth.rate_bps)}{MARKS[None]}\n"
    if measured is None:
        return Text(f"{emulated}{NOTHING_YET}{MARKS[None]}")
    figure = f"{'' if measured.exact else '≥ '}{megabits(measured.bits_per_second)}{MARKS[passed]}"
    return Text.assemble(emulated, (figure, VERDICT_STYLES[passed]))


def _round_trips(figures: SiteFigures) -> str:
    """Return one figure for each class, in the order of their DSCP."""
    least = figures.rtt_min_s
    return "/".join(f"{least[dscp] * 1e3:.2f}" for dscp in sorted(least)) or NOTHING_YET


def _losses(figures: SiteFigures) -> str:
    if not figures.sent["up"]:
        return NOTHING_YET
    return " ".join(f"{100 * figures.lost[name] / figures.sent[name]:.1f}" for name in DIRECTIONS)


def _caption(lines: Iterable[DemoLine], sites: Mapping[str, SiteFigures]) -> str:
    notes = ["≥: at least. RTT: the least, in DSCP 0/46 where there are two. Loss: ↓ ↑."]
    for line in lines:
        outcomes = sites.get(line.site.site_id, SiteFigures()).outcomes
        missed = [
            f"{count} {probe} {outcome}" for (probe, outcome), count in outcomes.items() if outcome != "ok"
        ]
        if missed:
            notes.append(f"{line.site.name}: {', '.join(missed)}")
    compared = sum((figures.peer_comparisons for figures in sites.values()), Counter[str]())
    agreed = counted(compared["agree"], "load test")
    notes.append(f"Agent and peer agree on {agreed}, disagree on {compared['disagree']}.")
    return "\n".join(notes)


def plain(line: DemoLine, figures: SiteFigures) -> str:
    """Return one site as a line of text, for output that is no terminal."""
    parts = [f"{line.site.name}: {figures.state or 'waiting'}"]
    for name, truth in (("down", line.down), ("up", line.up)):
        capacity = figures.capacity.get(name)
        if capacity is not None:
            bound = "" if capacity.exact else "at least "
            measured = megabits(capacity.bits_per_second)
            parts.append(f"{name} {bound}{measured} of {megabits(truth.rate_bps)} Mbit/s")
    parts += [f"RTT {least * 1e3:.2f} ms in DSCP {dscp}" for dscp, least in sorted(figures.rtt_min_s.items())]
    if figures.peer_comparisons:
        parts.append(f"agent and peer agree on {counted(figures.peer_comparisons['agree'], 'test')}")
    return "; ".join(parts)


def comparison(rows: Iterable[FigureComparison]) -> Table:
    """Build the closing table: emulated and measured value of every figure."""
    table = Table(title="Emulated and measured values")
    for heading in ("DemoSite", "Figure", "Emulated", "Allowed", "Measured", "Agrees"):
        table.add_column(heading, overflow="fold")
    before = None
    for row in rows:
        if before not in (None, row.site):
            table.add_section()
        agrees = Text("yes", style="green") if row.agrees else Text("NO", style="bold red")
        name = row.site if row.site != before else ""
        table.add_row(name, row.figure, row.truth, row.allowed, row.measured, agrees)
        before = row.site
    return table
