"""Requests to send again: by what the ledger lacks, whatever any clock says."""

import pytest

from collector.ingest.resend import MOST_OBEYED, Resends
from collector.model.message import CommandReport, ResendRequest
from tests.collector.examples import EPOCH, MINUTE_US, NOW_US, SITE
from wire.messages.commands import CommandMessage, Resend
from wire.messages.envelope import EpochRange

LACKING = (EpochRange(epoch=EPOCH, first=3, last=9),)
EARLIER = EpochRange(epoch="ffeeddccbbaa0011", first=1, last=4)
TEN_YEARS_US = 3650 * 86_400_000_000


def resends(asked_us: int = NOW_US) -> Resends:
    ids = iter(f"resend-{number}" for number in range(1000))
    return Resends(ResendRequest(Resend(id="restored", since_us=NOW_US), asked_us), lambda: next(ids))


def asked(made: Resends, minute: int, lacking: object = LACKING, obeyed: str | None = None) -> Resend | None:
    """Command to a site of which a batch arrives in this minute."""
    assert isinstance(lacking, tuple)
    if not made.is_due(CommandReport(SITE, obeyed), minute * MINUTE_US):
        return None
    found = made.command(SITE, lacking, minute * MINUTE_US)
    return found.command if found else None


@pytest.mark.parametrize("asked_us", [NOW_US, NOW_US + TEN_YEARS_US, NOW_US - TEN_YEARS_US])
def test_a_site_is_asked_for_what_the_ledger_lacks_whatever_any_clock_said(
    asked_us: int,
) -> None:
    made = resends(asked_us)
    assert made.is_due(CommandReport(SITE, None), 0)
    expected = Resend(id="resend-0", since_us=NOW_US, ranges=LACKING)
    assert made.command(SITE, LACKING, 0) == CommandMessage(schema=1, site=SITE, command=expected)


def test_until_it_obeys_with_the_same_command_and_longer_and_longer_pauses() -> None:
    made = resends()
    minutes = {minute: found for minute in range(300) if (found := asked(made, minute))}
    assert list(minutes) == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]  # at last once an hour
    assert {one.id for one in minutes.values()} == {"resend-0"}


def test_what_it_obeyed_is_not_asked_for_again_but_what_shows_then_is() -> None:
    """The mark of an epoch whose records came again names the epoch before it."""
    made = resends()
    assert asked(made, 0)
    rest = EpochRange(epoch=EPOCH, first=5, last=6)
    later = [asked(made, minute, (rest, EARLIER), obeyed="resend-0") for minute in range(1, 4)]
    assert {(one.id, one.ranges) for one in later if one} == {("resend-1", (EARLIER,))}
    assert not any(asked(made, minute, (rest,), obeyed="resend-1") for minute in range(4, 500))


def test_a_site_that_lacks_nothing_and_a_ledger_that_was_not_restored_ask_nothing() -> None:
    made = resends()
    assert not any(asked(made, minute, ()) for minute in range(50))
    none = Resends(None, str)
    assert not none.is_due(CommandReport(SITE, None), 0)
    assert none.command(SITE, LACKING, 0) is None


def test_each_site_has_a_pause_of_its_own_and_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.ingest.resend.BOUND", 3)
    made = resends()
    assert all(made.is_due(CommandReport(f"S{number}", None), 0) for number in range(4))
    assert len(made._asked) == 1
    assert MOST_OBEYED >= 500
