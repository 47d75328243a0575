"""The demo's tables: the live one, its plain lines, and the closing comparison."""

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from host.units import megabits
from lab.demo.compare import Comparison
from lab.demo.figures import DIRECTIONS, SiteFigures
from lab.demo.sites import Direction, Line, Site

STATE_STYLES = {"ok": "bold green", "below-floor": "bold red", "silent": "bold yellow", "waiting": "dim"}
VERDICT_STYLES = {True: "green", False: "bold red"}
FIGURES = (
    "Line ↓ ↑\nMbit/s",
    "Measured ↓\nMbit/s",
    "Measured ↑\nMbit/s",
    "Delay\nms",
    "RTT min\nms",
    "Loss ↓ ↑\n%",
    "Measured\n%",
    "Newest\ns ago",
)
PENDING = Text("…", style="dim")


def live(
    lines: Iterable[Line], others: Iterable[Site], sites: Mapping[str, SiteFigures], now_s: float
) -> Table:
    """The live table: each line's truth beside what the collector says of it. ``now_s``: Unix time."""
    table = Table(title="Emulated truth → what Plancher measures (↓ towards the site, ↑ from it)")
    for heading in ("Site", "State"):
        table.add_column(heading)
    for heading in FIGURES:
        table.add_column(heading, justify="right")
    for line in lines:
        table.add_row(*_line_cells(line, sites.get(line.site.site_id, SiteFigures()), now_s))
    for site in others:
        figures = sites.get(site.site_id, SiteFigures())
        table.add_row(_name(site), _state(figures), "no agent", *[Text("")] * (len(FIGURES) - 1))
    return table


def _line_cells(line: Line, figures: SiteFigures, now_s: float) -> list[Text | str]:
    return [
        _name(line.site),
        _state(figures),
        " ".join(f"{direction.rate_bps / 1e6:g}" for direction in (line.down, line.up)),
        *(_floor(name, figures) for name in DIRECTIONS),
        f"{(line.down.delay_us + line.up.delay_us) / 1e3:.1f}",
        _round_trips(figures),
        _emulated_loss(line.down, line.up),
        _measured_loss(figures),
        PENDING if figures.newest_s is None else f"{max(0.0, now_s - figures.newest_s):.0f}",
    ]


def _name(site: Site) -> Text:
    return Text.assemble(site.name, (f"\n{site.commune} ({site.departement})", "dim"))


def _state(figures: SiteFigures) -> Text:
    return Text(figures.state, style=STATE_STYLES.get(figures.state, "")) if figures.state else PENDING


def _floor(direction: str, figures: SiteFigures) -> Text:
    passed, capacity = figures.passed.get(direction), figures.capacity.get(direction)
    if capacity is None:
        return PENDING
    bound = "" if capacity.exact else "≥ "
    verdict = "" if passed is None else "\npass" if passed else "\nfail"
    style = "" if passed is None else VERDICT_STYLES[passed]
    return Text(f"{bound}{megabits(capacity.bits_per_second)}{verdict}", style=style)


def _round_trips(figures: SiteFigures) -> Text:
    if not figures.rtt_min_s:
        return PENDING
    several = len(figures.rtt_min_s) > 1
    return Text(
        "\n".join(
            f"{least * 1e3:.2f}{f' (DSCP {dscp})' if several else ''}"
            for dscp, least in sorted(figures.rtt_min_s.items())
        )
    )


def _emulated_loss(*directions: Direction) -> str:
    return " ".join(f"{direction.loss:.1%}".rstrip("%") for direction in directions)


def _measured_loss(figures: SiteFigures) -> Text:
    if not figures.sent["up"]:
        return PENDING
    return Text(" ".join(f"{100 * figures.lost[name] / figures.sent[name]:.1f}" for name in DIRECTIONS))


def plain(line: Line, figures: SiteFigures) -> str:
    """One site in one line, for output that is no terminal."""
    said = [f"{line.site.name}: {figures.state or 'waiting'}"]
    for name, truth in (("down", line.down), ("up", line.up)):
        capacity = figures.capacity.get(name)
        if capacity is not None:
            bound = "" if capacity.exact else "at least "
            measured = megabits(capacity.bits_per_second)
            said.append(f"{name} {bound}{measured} of {megabits(truth.rate_bps)} Mbit/s")
    said += [f"RTT {least * 1e3:.2f} ms in DSCP {dscp}" for dscp, least in sorted(figures.rtt_min_s.items())]
    return "; ".join(said)


def comparison(rows: Iterable[Comparison]) -> Table:
    """The closing table: every figure, truth and measured side by side."""
    table = Table(title="Emulated truth and what was measured")
    for heading in ("Site", "Figure", "Emulated", "Allowed", "Measured", "Agrees"):
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
