"""What goes on failing is complained of once, and again when it fails otherwise or after it has worked.

Here, and not beside the log in ``host``: of what may complain, ``net`` sees nothing above ``wire``.
"""


class Complaint:
    """What the log heard last of one thing that can fail. ``problem`` is "" while it works."""

    __slots__ = ("problem",)

    def __init__(self) -> None:
        self.problem = ""

    def is_news(self, problem: str) -> bool:
        """Note what is wrong now, "" for nothing; whether it is to be told."""
        news = problem not in ("", self.problem)
        self.problem = problem
        return news
