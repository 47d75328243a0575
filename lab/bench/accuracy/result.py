"""What a part of the benchmark gives back: tables, bars, and the lines for README.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

from msgspec import Struct, field

Tell = Callable[[str], None]
"""Says one line on the terminal."""


class Figure(Struct, frozen=True):
    """A value measured ``n`` times: its median, and its 10th and 90th percentile (nearest rank)."""

    n: int
    median: float
    p10: float
    p90: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure | None":
        """The figure of these values; None without any."""
        ordered = sorted(values)
        if not ordered:
            return None
        return cls(len(ordered), median(ordered), rank(ordered, 10), rank(ordered, 90))


Cell = Figure | str | int | float | None
"""What stands in a table: a figure, a word, a count or a value; None where there is nothing to say."""


class Row(Struct, frozen=True):
    """One case. ``ratio`` is ours to another's, as the table says. ``more``: further columns by heading."""

    case: str
    truth: Cell
    ours: Cell
    others: Mapping[str, Cell] = {}
    ratio: float | None = None
    more: Mapping[str, Cell] = {}


class Table(Struct, frozen=True):
    """Rows of one kind. ``title`` says what is told, in which unit; ``decimals`` is how fine.

    ``truth`` and ``ratio`` are headings: what the truth is, and of what to what the ratio is.
    """

    title: str
    rows: tuple[Row, ...]
    decimals: int = 1
    truth: str = "truth"
    ratio: str = "ratio"
    note: str = ""


class Bar(Struct, frozen=True):
    """One thing that must hold, in words with its figure, and whether it did."""

    text: str
    met: bool


class Headline(Struct, frozen=True):
    """One line of the short table in README.md. ``others`` names tool and figure."""

    question: str
    truth: str
    ours: str
    others: str = ""


class Result(Struct, frozen=True):
    """All that a part found."""

    tables: tuple[Table, ...] = ()
    bars: tuple[Bar, ...] = ()
    headlines: tuple[Headline, ...] = ()


class Effort(Struct, frozen=True):
    """How much to measure. ``runs`` None leaves it to the part; ``seed`` is of all that is random."""

    full: bool = False
    runs: int | None = None
    seed: int = field(default=1)

    def times(self, short: int, full: int) -> int:
        """How often to repeat: what the person said, or the part's own number for a short or a full run."""
        if self.runs is not None:
            return self.runs
        return full if self.full else short


def rank(ordered: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of sorted values, at least one of them."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]
