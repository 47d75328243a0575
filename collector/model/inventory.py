"""Inventory of the sites and of the floor that each was promised, parsed from ``sites.csv``. Pure.

The text is checked as a whole: one mistake anywhere refuses it, and every mistake is listed.
"""

import csv
import difflib
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from host import units
from wire.messages.topics import is_site_id

COLUMNS = (
    "site_id",
    "name",
    "category",
    "departement",
    "commune",
    "pop",
    "supplier",
    "lat",
    "lon",
    "floor_down",
    "floor_up",
)
REQUIRED = ("site_id", "name")
DEFAULT_FLOOR_BPS = 8_000_000
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_PROBLEMS = 20
MAX_TEXT = 200
# A leading zero may be a digit that was lost, or an octal number.
_DEGREES = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_PLAIN = re.compile(r"0|[1-9][0-9]*")
MOST_COLUMNS = 100  # a header of more is no inventory, and its problems are not worth listing one by one


@dataclass(frozen=True, slots=True)
class Site:
    """Site of the inventory. Floors are in bit/s at the IP layer, coordinates in degrees (WGS 84)."""

    site_id: str
    name: str
    category: str = ""
    departement: str = ""
    commune: str = ""
    pop: str = ""
    supplier: str = ""
    lat: float | None = None
    lon: float | None = None
    floor_down: int = DEFAULT_FLOOR_BPS
    floor_up: int = DEFAULT_FLOOR_BPS


Sites = Mapping[str, Site]


class InventoryError(Exception):
    """Error in the inventory. ``problems`` has one line for each mistake, with line and column.

    Its cause is an OSError if the file cannot be read.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def parse(text: str, name: str) -> dict[str, Site]:
    """Parse an inventory into sites by id, in the order of the file.

    Raises InventoryError, which lists up to 20 mistakes.
    """
    rows = _rows(text, name)
    if not rows:
        raise InventoryError([f"{name}: empty: the first line names the columns: {','.join(COLUMNS)}"])
    header = [column.strip() for column in rows[0][1]]
    if problems := _header_problems(header):
        raise InventoryError(_bounded([f"{name}, line 1: {problem}" for problem in problems], name))
    reading = _Reading(name, header)
    for line, cells in rows[1:]:
        if any(cell.strip() for cell in cells):
            reading.read_row(line, cells)
    if reading.problems:
        raise InventoryError(_bounded(reading.problems, name))
    return reading.sites


def _rows(text: str, name: str) -> list[tuple[int, list[str]]]:
    """Read all rows, each with the number of its last line."""
    first = text.partition("\n")[0]
    # Spreadsheets with French settings write semicolons, because the comma is their decimal mark.
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in first else ",", strict=True)
    rows = []
    try:
        for cells in reader:
            rows.append((reader.line_num, cells))  # noqa: PERF401 -- line_num is that of the row just read
    except csv.Error as error:
        raise InventoryError([f"{name}, line {reader.line_num}: not valid CSV: {error}"]) from None
    return rows


def _header_problems(header: list[str]) -> list[str]:
    if len(header) > MOST_COLUMNS:
        return [f"{len(header)} columns; there are: {', '.join(COLUMNS)}"]
    problems = [f"column {name!r} exists twice" for name in sorted(set(header)) if header.count(name) > 1]
    for name in header:
        if name not in COLUMNS:
            close = difflib.get_close_matches(name[:MAX_TEXT], COLUMNS, n=1)
            advice = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(COLUMNS)}"
            problems.append(f"no such column: {name!r}; {advice}")
    return problems + [f"column {name!r} is missing" for name in REQUIRED if name not in header]


def _bounded(problems: list[str], name: str) -> list[str]:
    more = len(problems) - MAX_PROBLEMS
    return [*problems[:MAX_PROBLEMS], f"{name}: and {more} more"] if more > 0 else problems


class _Reading:
    """Parser state of one file: the sites and problems of the rows read so far."""

    def __init__(self, name: str, header: list[str]) -> None:
        self.sites: dict[str, Site] = {}
        self.problems: list[str] = []
        self._name = name
        self._header = header
        self._lines: dict[str, int] = {}

    def read_row(self, line: int, cells: list[str]) -> None:
        before = len(self.problems)
        if len(cells) != len(self._header):
            self._add_problem(line, f"{len(cells)} columns, but line 1 names {len(self._header)}")
            return
        row = {column: cell.strip() for column, cell in zip(self._header, cells, strict=True)}
        site = self._site(line, row)
        if len(self.problems) == before:
            self.sites[site.site_id] = site
            self._lines[site.site_id] = line

    def _site(self, line: int, row: dict[str, str]) -> Site:
        self._check_texts(line, row)
        return Site(
            site_id=row["site_id"],
            name=row["name"],
            category=row.get("category", ""),
            departement=row.get("departement", ""),
            commune=row.get("commune", ""),
            pop=row.get("pop", ""),
            supplier=row.get("supplier", ""),
            lat=self._degrees(line, row, "lat", 90),
            lon=self._degrees(line, row, "lon", 180),
            floor_down=self._floor(line, row, "floor_down"),
            floor_up=self._floor(line, row, "floor_up"),
        )

    def _check_texts(self, line: int, row: dict[str, str]) -> None:
        for column, text in row.items():
            if len(text) > MAX_TEXT:
                self._add_problem(line, f"column {column}: longer than {MAX_TEXT} characters")
        for column in REQUIRED:
            if not row[column]:
                self._add_problem(line, f"column {column}: empty")
        site_id = row["site_id"]
        if site_id and not is_site_id(site_id):
            self._add_problem(
                line,
                f"column site_id: {site_id[:80]!r} cannot be a site id: letters, digits, '-' and '_', "
                "at most 64, beginning with a letter or digit",
            )
        if site_id in self._lines:
            self._add_problem(line, f"column site_id: {site_id!r} is already in line {self._lines[site_id]}")

    def _degrees(self, line: int, row: dict[str, str], column: str, bound: int) -> float | None:
        text = row.get(column, "")
        if not text:
            return None
        if _DEGREES.fullmatch(text) and abs(float(text)) <= bound:
            return float(text)
        self._add_problem(
            line, f"column {column}: {text!r} is not a number of degrees from -{bound} to {bound}"
        )
        return None

    def _floor(self, line: int, row: dict[str, str], column: str) -> int:
        text = row.get(column, "")
        if not text:
            return DEFAULT_FLOOR_BPS
        try:
            # A bare number is in bit/s; with a unit, the text is a quantity as in the settings.
            floor = units.parse(units.BitRate, int(text) if _PLAIN.fullmatch(text) else text)
        except ValueError as error:
            self._add_problem(line, f"column {column}: {error}")
            return 0
        if not 1_000 <= floor <= 10_000_000_000:
            self._add_problem(line, f"column {column}: {text!r} is not between 1 kbit/s and 10 Gbit/s")
        return floor

    def _add_problem(self, line: int, problem: str) -> None:
        self.problems.append(f"{self._name}, line {line}, {problem}")
