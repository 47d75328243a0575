import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.settings.hours import ALWAYS, NEVER, WEEK_S, Hours, HoursError, parse

H = 3600
DAY = 24 * H
MONDAY, TUESDAY, FRIDAY, SATURDAY, SUNDAY = (day * DAY for day in (0, 1, 4, 5, 6))
HELP = "write 07:00-19:00 or Mon-Fri 07:00-19:00, several separated by ;"

spans = st.builds(
    lambda day, begin, length: (
        f"{day} {begin // 60:02}:{begin % 60:02}-{(begin + length) // 60 % 24:02}:{(begin + length) % 60:02}"
    ),
    st.sampled_from(["Mon", "Mon-Fri", "Sat,Sun", "Sun", "Fri-Mon", ""]),
    st.integers(0, 1439),
    st.integers(1, 1439),
)
texts = st.lists(spans, min_size=1, max_size=4).map("; ".join)
seconds = st.integers(0, WEEK_S - 1)


@pytest.mark.parametrize(("text", "within", "without"), [
    ("01:00-05:00", [H, 5 * H - 1, SUNDAY + H], [H - 1, 5 * H, SUNDAY + 5 * H]),
    ("Mon-Fri 07:00-19:00", [7 * H, FRIDAY + 12 * H], [SATURDAY + 12 * H, 19 * H]),
    ("22:00-06:00", [0, 23 * H, SUNDAY + 23 * H], [6 * H, 21 * H]),
    ("Fri 22:00-06:00", [FRIDAY + 23 * H, SATURDAY + 5 * H], [FRIDAY, SATURDAY + 6 * H, SATURDAY + 23 * H]),
    ("Sun 22:00-06:00", [SUNDAY + 22 * H, 0, 6 * H - 1], [6 * H, TUESDAY]),
    ("Sat-Mon 10:00-11:00", [SATURDAY + 10 * H, SUNDAY + 10 * H, 10 * H], [TUESDAY + 10 * H]),
    ("Mon,Sat 8:00-9:30; 12:00 - 13:00", [8 * H, SATURDAY + 9 * H, TUESDAY + 12 * H], [TUESDAY + 8 * H]),
    ("00:00-24:00", [0, WEEK_S - 1], []),
    ("mon 20:00-24:00", [20 * H, DAY - 1], [DAY]),
    ("always", [0, WEEK_S - 1], []),
    ("Never", [], [0, WEEK_S - 1]),
])  # fmt: skip
def test_hours_are_what_people_write(text: str, within: list[int], without: list[int]) -> None:
    hours = parse(text)
    assert [second for second in within if not hours.contains(second)] == []
    assert [second for second in without if hours.contains(second)] == []


@pytest.mark.parametrize(("text", "message"), [
    ("", f"'': not hours: {HELP}"),
    ("01:00", f"'01:00': not hours: {HELP}"),
    ("01:00-", f"'01:00-': not hours: {HELP}"),
    ("01:00-05:00;", f"'': not hours: {HELP}"),
    ("1-5", f"'1': not a time of day: {HELP}"),
    ("01:00-25:00", f"'25:00': not a time of day: {HELP}"),
    ("24:00-06:00", f"'24:00': not a time of day: {HELP}"),
    ("01:00-05:60", f"'05:60': not a time of day: {HELP}"),
    ("01:00-05:0²", f"'05:0²': not a time of day: {HELP}"),
    ("07:00-07:00", "'07:00-07:00': the begin is the end: for the whole day write 00:00-24:00"),
    ("Lun 07:00-08:00", "'Lun': not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
    ("Mon-Fry 07:00-08:00", "'Fry': not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
    ("Mon,, 07:00-08:00", "'': not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun"),
])  # fmt: skip
def test_unreadable_hours_are_reported(text: str, message: str) -> None:
    with pytest.raises(HoursError) as caught:
        parse(text)
    assert str(caught.value) == message


@given(text=texts, second=seconds)
def test_the_next_beginning_is_within_and_nothing_before_it(text: str, second: int) -> None:
    hours = parse(text)
    wait = hours.until_begin_s(second)
    assert wait is not None
    assert hours.contains((second + wait) % WEEK_S)
    if wait:
        assert not hours.contains((second + wait - 1) % WEEK_S)
        assert not hours.contains(second)


@given(text=texts, second=seconds)
def test_what_is_left_ends_where_the_hours_end(text: str, second: int) -> None:
    hours = parse(text)
    left = hours.left_s(second)
    assert (left > 0) is hours.contains(second)
    if 0 < left < WEEK_S:
        assert hours.contains((second + left - 1) % WEEK_S)
        assert not hours.contains((second + left) % WEEK_S)


@given(text=texts, other=texts, second=seconds)
def test_hours_without_others(text: str, other: str, second: int) -> None:
    hours, others = parse(text), parse(other)
    rest = hours.without(others)
    assert rest.contains(second) is (hours.contains(second) and not others.contains(second))
    assert list(rest.spans) == sorted(rest.spans)


def test_always_never_ends_and_never_never_begins() -> None:
    assert (ALWAYS.left_s(5), ALWAYS.until_begin_s(5)) == (WEEK_S, 0)
    assert (NEVER.left_s(5), NEVER.until_begin_s(5)) == (0, None)
    assert parse("00:00-24:00") == ALWAYS
    assert hash(parse("01:00-05:00")) == hash(Hours(parse("1:00-5:00").spans))
