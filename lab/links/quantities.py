"""Quantities on a command line, read strictly: a number and its unit."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z%/]*)")
_RATES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_RATES |= {f"{prefix}bit/s": factor for prefix, factor in _RATES.items()}
_DURATIONS = {"us": 10**3, "ms": 10**6, "s": 10**9}
_SIZES = {"B": 1, "kB": 10**3, "MB": 10**6}


def rate(text: str) -> int:
    """Read bit/s: ``8.4M``, ``500k``, ``1G``, ``8.4Mbit/s`` or plain bit/s. Raises ValueError."""
    return _whole(text, _RATES, "a rate such as 8.4M (bit/s; k, M or G)")


def duration(text: str) -> int:
    """Read a time in ns: ``10ms``, ``250us``, ``1.5s``, or 0. Raises ValueError."""
    return 0 if text == "0" else _whole(text, _DURATIONS, "a time such as 10ms (us, ms or s)")


def size(text: str) -> int:
    """Read bytes: ``64kB``, ``2MB``, ``1500B``, or 0. Raises ValueError."""
    return 0 if text == "0" else _whole(text, _SIZES, "a size such as 64kB (B, kB or MB)")


def share(text: str) -> float:
    """Read a share of packets, 0 to 1: ``1%``, ``0.5%``, or 0. Raises ValueError."""
    if text == "0":
        return 0.0
    number = _scaled(text, {"%": 1}, expected := "a share such as 1%")
    if number > 100:
        raise ValueError(f"expected {expected}, at most 100%, got {text!r}")
    return float(number / 100)


def _whole(text: str, units: dict[str, int], expected: str) -> int:
    number = _scaled(text, units, expected)
    if number != number.to_integral_value():
        raise ValueError(f"expected {expected}, got {text!r}, which is finer than the smallest unit")
    return int(number)


def _scaled(text: str, units: dict[str, int], expected: str) -> Decimal:
    match = _QUANTITY.fullmatch(text) if text.isascii() else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected {expected}, got {text!r}")
    return Decimal(match[1]) * units[match[2]]
