import pytest

from collector.ingest.resend import ASKED_FOR_US, LONGEST_PAUSE_US, Resends
from collector.model.message import CommandReport, ResendRequest
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, SITE
from wire.messages.commands import CommandMessage, Resend

COMMAND = Resend(id="resend-7", since_us=NOW_US - HOUR_US)


def resends() -> Resends:
    return Resends(ResendRequest(COMMAND, NOW_US))


def asked_minutes(made: Resends, minutes: int, obeyed: str | None = None) -> list[int]:
    """Minutes in which a site is asked of which a batch arrives each minute."""
    report = CommandReport(SITE, obeyed)
    return [minute for minute in range(minutes) if made.answer(report, NOW_US + minute * MINUTE_US)]


def test_a_site_is_asked_with_the_command_of_the_request() -> None:
    expected = CommandMessage(schema=1, site=SITE, command=COMMAND)
    assert resends().answer(CommandReport(SITE, None), NOW_US) == expected


@pytest.mark.parametrize(
    ("made", "obeyed", "minutes"),
    [
        (Resends(None), None, []),
        (resends(), None, [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]),  # at last once an hour
        (resends(), "resend-6", [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]),  # an earlier request
        (resends(), "resend-7", []),
    ],
)
def test_a_site_is_asked_until_it_obeys_with_longer_and_longer_pauses(
    made: Resends, obeyed: str | None, minutes: list[int]
) -> None:
    assert asked_minutes(made, 300, obeyed) == minutes


def test_one_that_obeys_is_asked_no_more() -> None:
    made = resends()
    assert asked_minutes(made, 1) == [0]
    assert asked_minutes(made, 600, "resend-7") == []


def test_never_more_than_once_a_minute_however_often_it_is_heard() -> None:
    made = resends()
    asked = [
        second for second in range(180) if made.answer(CommandReport(SITE, None), NOW_US + second * 1_000_000)
    ]
    assert asked == [0, 60]


def test_each_site_has_a_pause_of_its_own() -> None:
    made = resends()
    assert made.answer(CommandReport(SITE, None), NOW_US)
    assert made.answer(CommandReport("other", None), NOW_US + 1)


def test_a_request_that_agents_can_no_longer_follow_ends() -> None:
    made = resends()
    assert made.answer(CommandReport(SITE, None), NOW_US + ASKED_FOR_US)
    assert not made.answer(CommandReport("other", None), NOW_US + ASKED_FOR_US + 1)
    assert ASKED_FOR_US > 7 * 24 * HOUR_US > LONGEST_PAUSE_US


def test_the_number_of_sites_in_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.ingest.resend.BOUND", 3)
    made = resends()
    for number in range(4):
        made.answer(CommandReport(f"S{number}", None), NOW_US)
    assert len(made._asked) == 1
