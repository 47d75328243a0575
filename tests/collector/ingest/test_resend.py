from collector.ingest.resend import ASKED_FOR_US, BOUND, LONGEST_PAUSE_US, Resends
from collector.model.message import CommandReport, ResendRequest
from tests.collector.examples import HOUR_US, MINUTE_US, NOW_US, SITE
from wire.messages.commands import CommandMessage, Resend

COMMAND = Resend(id="resend-7", since_us=NOW_US - HOUR_US)


def resends() -> Resends:
    return Resends(ResendRequest(COMMAND, NOW_US))


def asked_minutes(made: Resends, minutes: int, obeyed: str | None = None) -> list[int]:
    """In which minutes a site that is heard each minute is asked."""
    speaker = CommandReport(SITE, obeyed)
    return [minute for minute in range(minutes) if made.answer(speaker, NOW_US + minute * MINUTE_US)]


def test_a_site_is_asked_when_it_is_heard() -> None:
    assert resends().answer(CommandReport(SITE, None), NOW_US) == CommandMessage(
        schema=1, site=SITE, command=COMMAND
    )


def test_without_a_request_nobody_is_asked() -> None:
    assert asked_minutes(Resends(None), 100) == []


def test_a_site_that_obeyed_is_not_asked() -> None:
    assert asked_minutes(resends(), 100, "resend-7") == []


def test_one_that_obeyed_an_earlier_request_is_asked() -> None:
    assert asked_minutes(resends(), 1, "resend-6") == [0]


def test_one_that_obeys_is_asked_no_more() -> None:
    made = resends()
    assert asked_minutes(made, 1) == [0]
    assert asked_minutes(made, 600, "resend-7") == []


def test_one_that_never_obeys_is_asked_ever_less_often_down_to_once_an_hour() -> None:
    assert asked_minutes(resends(), 300) == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]


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


def test_what_is_remembered_is_bounded() -> None:
    made = resends()
    for number in range(BOUND + 1):
        made.answer(CommandReport(f"S{number}", None), NOW_US)
    assert len(made._asked) == 1
