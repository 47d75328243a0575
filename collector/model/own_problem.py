"""Problem of the collector itself, as the overview and the readiness page show it. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class ProblemKind(StrEnum):
    """Kind of a problem; the pages have a sentence for each, in both languages."""

    BROKER = "broker"
    LEDGER = "ledger"
    BLACKOUT = "blackout"
    INVENTORY = "inventory"
    STRANGERS = "strangers"
    CLOCK = "clock"
    DAMAGE = "damage"


@dataclass(frozen=True, slots=True)
class OwnProblem:
    """Kind of a problem, and ``detail``: place, error of a library, or number; the same in every language."""

    kind: ProblemKind
    detail: str = ""
