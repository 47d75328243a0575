"""Quantities as people write them in settings: ``8 Mbit/s``, ``10 s``, ``200 MB``."""

import math
import re
from typing import ClassVar, TypeVar

_FOUND: dict[type, str] = {bool: "true or false", list: "a list", dict: "a section", type(None): "nothing"}
# A leading zero may mean an octal number, or a digit that was lost.
_QUANTITY = re.compile(r"((?:0|[1-9][0-9]*)(?:\.[0-9]+)?)\s*([A-Za-z/]+)")


class BitRate(int):
    """bit/s; written ``8 Mbit/s``, ``500 kbit/s``, ``1 Gbit/s`` or as a whole number of bit/s."""

    units: ClassVar[dict[str, float]] = {"bit/s": 1, "kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
    example: ClassVar[str] = "8 Mbit/s"
    least_bare: ClassVar[int] = 1000


class Seconds(float):
    """Seconds; written ``10 s``, ``50 ms``, ``5 min``, ``1 h``, ``7 d`` or as a number of seconds."""

    units: ClassVar[dict[str, float]] = {"ms": 1e-3, "s": 1, "min": 60, "h": 3600, "d": 86400}
    example: ClassVar[str] = "10 s"
    least_bare: ClassVar[int] = 0


class ByteSize(int):
    """Bytes; written ``200 MB``, ``64 kB``, ``1 GB`` (powers of ten) or as a whole number of bytes."""

    units: ClassVar[dict[str, float]] = {"B": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
    example: ClassVar[str] = "200 MB"
    least_bare: ClassVar[int] = 1000


Quantity = TypeVar("Quantity", BitRate, Seconds, ByteSize)
QUANTITIES: tuple[type[BitRate], type[Seconds], type[ByteSize]] = (BitRate, Seconds, ByteSize)


def parse(kind: type[Quantity], value: object) -> Quantity:
    """Read a quantity from a value of a settings file. Raises ValueError with a text for people."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        found = _FOUND.get(type(value), "something else")
        raise ValueError(f"expected a quantity such as {kind.example!r}, got {found}")
    number = _number(kind, value) if isinstance(value, str) else float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"expected a quantity such as {kind.example!r}, got {value!r}")
    if not isinstance(value, str) and 0 < number < kind.least_bare:
        # 8 bit/s or 64 bytes cannot be meant: the unit is missing.
        unit = next(iter(kind.units))
        raise ValueError(f"{value!r} alone is {value!r} {unit}: write it with its unit, as {kind.example!r}")
    return kind(round(number) if issubclass(kind, int) else number)


def _number(kind: type[Quantity], text: str) -> float:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"expected a quantity such as {kind.example!r}, got {text!r}")
    number, unit = match.groups()
    if unit not in kind.units:
        raise ValueError(f"unknown unit {unit!r}: write one of {', '.join(kind.units)}")
    return float(number) * kind.units[unit]


def megabits(bits_per_second: float) -> str:
    """Format a rate in Mbit/s with three significant digits, as contracts are written."""
    return f"{bits_per_second / 1e6:.2f}" if bits_per_second < 1e8 else f"{bits_per_second / 1e6:.0f}"


def percent(ratio: float | None) -> str:
    """A ratio for people, in percent: three significant digits, a dash where it is not known."""
    return "-" if ratio is None else f"{ratio * 100:.3g} %"


def amount(byte_count: float) -> str:
    """Format bytes in the largest fitting unit of ``ByteSize``: ``2.81 GB``, ``64 MB``, ``0 B``."""
    unit, size = next(
        ((unit, size) for unit, size in reversed(ByteSize.units.items()) if byte_count >= 0.9995 * size),
        ("B", 1),
    )
    number = byte_count / size
    return f"{number:.3g} {unit}" if number < 999.5 else f"{number:.0f} {unit}"


def duration(microseconds: float) -> str:
    """Format a measured time: in milliseconds, below 0.1 ms in microseconds, and never as 0."""
    if microseconds >= 100:
        return f"{microseconds / 1000:.2f} ms"
    return f"{microseconds:.0f} µs" if microseconds >= 1 else "<1 µs"


def counted(number: int, noun: str) -> str:
    """Format a number with its noun: ``1 hop``, ``2 hops``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
