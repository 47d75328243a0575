"""Complaint about a lasting fault: logged once, and again when it changes or comes back.

It lives here and not in ``host``: ``net`` complains, too, and may not import ``host``.
"""


class Complaint:
    """Last known state of one thing that can fail; ``problem`` is "" while it works."""

    __slots__ = ("problem",)

    def __init__(self) -> None:
        self.problem = ""

    def is_news(self, problem: str) -> bool:
        """Note the present problem, "" for none, and return True if it is to be logged."""
        news = problem not in ("", self.problem)
        self.problem = problem
        return news
