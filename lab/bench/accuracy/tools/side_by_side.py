"""Several lines measured beside each other, each with a link of its own."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from lab.bench.accuracy.result import Bar, Tell
from lab.netns.requirements import KernelLinkError
from lab.testbed.line_testbed import ToolError


class Line(Protocol):
    """A case that is measured on a line of its own; ``problem`` is why it was not, if it was not."""

    problem: str

    @property
    def label(self) -> str:
        """For a person."""
        ...


Turns = Callable[[int], Iterator[int]]
"""Counts so many turns, fewer when the benchmark is being ended."""

Case = TypeVar("Case", bound=Line)


def measure_each(
    cases: Sequence[Case], at_once: int, measure: Callable[[Case, Turns], None], tell: Callable[[Case], None]
) -> None:
    """Call ``measure`` for every case, ``at_once`` at a time, and ``tell`` of each that is done.

    What a link or a tool does wrong becomes the case's problem; any other exception ends it all.
    """
    ending = threading.Event()

    def turns(count: int) -> Iterator[int]:
        return itertools.takewhile(lambda _: not ending.is_set(), range(count))

    def one(case: Case) -> None:
        if ending.is_set():
            return
        try:
            measure(case, turns)
        except (KernelLinkError, ToolError, BrokenExecutor, OSError) as error:
            case.problem = str(error) or type(error).__name__
        tell(case)

    with ThreadPoolExecutor(at_once) as pool:
        try:
            futures: list[Future[None]] = [pool.submit(one, case) for case in cases]
            for future in futures:
                future.result()
        except BaseException:
            # The pool waits for its threads, and those for their turns.
            ending.set()
            raise


def teller(tell: Tell, words: Callable[[Case], str]) -> Callable[[Case], None]:
    """Tells of a case that is done: its words, or its problem."""
    return lambda case: tell(f"{case.label}: {case.problem or words(case)}")


def all_measured(cases: Sequence[Line]) -> Bar:
    """Whether no line had a problem."""
    problems = [f"{case.label}: {case.problem}" for case in cases if case.problem]
    return Bar("every line was measured" + "".join(f"; {one}" for one in problems), met=not problems)
