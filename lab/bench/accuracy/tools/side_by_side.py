"""Cases measured beside each other, each on a link of its own."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from lab.bench.accuracy.result import Bar, Tell
from lab.netns.requirements import KernelLinkError
from lab.testbed.line_testbed import IperfError


class LineCase(Protocol):
    """Case that is measured on a line of its own; ``problem`` is the reason if that failed."""

    problem: str

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        ...


# Counts repetitions, fewer when the benchmark is being ended.
Turns = Callable[[int], Iterator[int]]

AnyCase = TypeVar("AnyCase", bound=LineCase)


def measure_each(
    cases: Sequence[AnyCase],
    at_once: int,
    measure: Callable[[AnyCase, Turns], None],
    tell: Callable[[AnyCase], None],
) -> None:
    """Call ``measure`` for every case, ``at_once`` at a time, and ``tell`` for each that is done.

    An error of a link or a tool becomes the case's problem; any other exception ends the part.
    """
    ending = threading.Event()

    def turns(count: int) -> Iterator[int]:
        return itertools.takewhile(lambda _: not ending.is_set(), range(count))

    def one(case: AnyCase) -> None:
        if ending.is_set():
            return
        try:
            measure(case, turns)
        except (KernelLinkError, IperfError, BrokenExecutor, OSError) as error:
            case.problem = str(error) or type(error).__name__
        tell(case)

    with ThreadPoolExecutor(at_once) as pool:
        try:
            futures: list[Future[None]] = [pool.submit(one, case) for case in cases]
            for future in futures:
                future.result()
        except BaseException:
            # The pool waits for its threads, and each thread for its turns.
            ending.set()
            raise


def teller(tell: Tell, words: Callable[[AnyCase], str]) -> Callable[[AnyCase], None]:
    """Return a function that prints a case's label with its words or its problem."""
    return lambda case: tell(f"{case.label}: {case.problem or words(case)}")


def all_measured(cases: Sequence[LineCase]) -> Bar:
    """Return the bar that no case had a problem."""
    problems = [f"{case.label}: {case.problem}" for case in cases if case.problem]
    return Bar("every line was measured" + "".join(f"; {one}" for one in problems), met=not problems)
