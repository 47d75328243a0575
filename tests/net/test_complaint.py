"""A lasting fault is reported once."""

from net.complaint import Complaint


def test_a_problem_is_news_when_it_changes_and_not_while_it_lasts() -> None:
    complaint = Complaint()
    heard = ["", "full", "full", "gone", "full", "", "", "full"]
    assert [complaint.is_news(each) for each in heard] == [
        False, True, False, True, True, False, False, True,
    ]  # fmt: skip
    assert complaint.problem == "full"
