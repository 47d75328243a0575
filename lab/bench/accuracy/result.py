"""Result of a part: tables, bars, and lines for README.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct, field

# Prints one line on the terminal.
Tell = Callable[[str], None]


class SampleSummary(Struct, frozen=True):
    """Value measured ``n`` times: median, 10th and 90th percentile (nearest rank)."""

    n: int
    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "SampleSummary | None":
        """Summarise values; None without any."""
        ordered = sorted(values)
        if not ordered:
            return None
        return cls(len(ordered), median(ordered), rank(ordered, 10), rank(ordered, 90))


# Content of a cell: a figure, a word, a count or a value; None leaves it empty.
Cell = SampleSummary | str | int | float | None


class ResultRow(Struct, frozen=True):
    """One case. ``ratio``: as the table's heading says. ``more``: further columns by heading."""

    case: str
    truth: Cell
    ours: Cell
    others: Mapping[str, Cell] = {}
    ratio: float | None = None
    more: Mapping[str, Cell] = {}


class ResultTable(Struct, frozen=True):
    """Rows of one kind. ``title`` names what is measured, in which unit; ``decimals`` rounds the figures.

    ``truth`` and ``ratio`` are headings: the kind of truth, and the two sides of the ratio.
    """

    title: str
    rows: tuple[ResultRow, ...]
    decimals: int = 1
    truth: str = "truth"
    ratio: str = "ratio"
    note: str = ""


class Bar(Struct, frozen=True):
    """One requirement, in words with the measured figure, and whether it was met."""

    text: str
    met: bool


class Headline(Struct, frozen=True):
    """One line of the short table in README.md. ``others``: tool and figure."""

    question: str
    truth: str
    ours: str
    others: str = ""


class PartResult(Struct, frozen=True):
    """All results of a part."""

    tables: tuple[ResultTable, ...] = ()
    bars: tuple[Bar, ...] = ()
    headlines: tuple[Headline, ...] = ()


class BenchEffort(Struct, frozen=True):
    """Amount of work.

    ``runs`` None leaves the number of repetitions to the part; ``seed`` is the random seed.
    """

    full: bool = False
    runs: int | None = None
    seed: int = field(default=1)

    def times(self, short: int, full: int) -> int:
        """Return the number of repetitions: ``runs``, or the part's own for a short or a full run."""
        if self.runs is not None:
            return self.runs
        return full if self.full else short


def rank(ordered: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile of at least one sorted value."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
