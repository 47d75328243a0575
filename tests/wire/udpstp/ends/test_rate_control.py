"""Rate of a sender: with feedback, without it, and with a peer that may request anything."""

import pytest
from msgspec.structs import replace

from wire.udpstp import pdu, rates
from wire.udpstp.ends.rate_control import FixedRate, RateControl, RemoteSearch, is_sane
from wire.udpstp.ends.search import LocalSearch, RateSearch
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate

MS = 1_000_000
FIXED = pdu.Activation(command=1, row=8, test_s=1, auth_time=0, key_id=0)
SEARCH = replace(FIXED, row=pdu.SEARCH_INDEX, rate=rates.sending_rate(0))


def status(sequence: int, row: int = 0, *, delay: int = 0, lost: int = 0) -> pdu.Status:
    return pdu.Status(
        sequence=sequence, rate=rates.sending_rate(row), delay_sum=delay, delay_count=1, lost=lost
    )


def silent_rows(control: RateControl, begin: int, steps: int) -> list[float]:
    """Rates after ``steps`` steps down, each requested exactly at its deadline and not before."""
    found = []
    now = begin
    for _ in range(steps):
        assert control.no_status(control.deadline - 1) is None
        now = control.deadline
        control.no_status(now)
        assert control.deadline == now + 50 * MS
        found.append(rates.bits_per_second(control.rate) / 1e6)
    return found


def test_a_fixed_rate_steps_down_without_feedback_and_is_restored_by_it() -> None:
    control = FixedRate(replace(FIXED, row=100), 0)
    assert control.deadline == 2000 * MS
    assert control.status(status(1), 100 * MS) is None
    assert control.deadline == 290 * MS
    assert silent_rows(control, 0, 4) == [99, 98, 68, 67]
    assert control.status(status(2), 500 * MS) == rates.sending_rate(100)
    assert silent_rows(control, 0, 3) == [99, 98, 68]
    assert control.backoff_steps == 7


def test_a_search_takes_one_step_a_status_and_none_for_an_old_one() -> None:
    control = LocalSearch(SEARCH, RateSearch(SEARCH, 25), 0)
    assert control.rate == rates.sending_rate(0)
    assert control.status(status(1), 1) == rates.sending_rate(10)
    assert control.status(status(1), 1) is None
    assert control.status(status(4), 1) == rates.sending_rate(20)
    assert control.status(status(3), 1) is None
    assert control.status(status(5), 1) == rates.sending_rate(25)
    assert control.status(status(6), 1) is None
    assert control.status(status(7, delay=91), 1) == rates.sending_rate(24)


def test_missing_feedback_is_a_bad_interval_to_a_search() -> None:
    activation = replace(SEARCH, row=100, modifiers=1)
    control = LocalSearch(activation, RateSearch(activation, 1000), 0)
    assert silent_rows(control, 0, 3) == [99, 98, 68]
    assert control.status(status(1), 1) == rates.sending_rate(69)


def test_a_sender_follows_its_peer_up_to_the_row_asked_for() -> None:
    control = RemoteSearch(SEARCH, 50, 0)
    assert control.status(status(1, row=40), 1) == rates.sending_rate(40)
    assert control.status(status(2, row=900), 1) == rates.sending_rate(50)
    assert control.status(replace(status(3), rate=pdu.OFF), 1) is None
    many_small = SendingRate(interval_1_us=100, payload_1=32, burst_1=9)
    assert rates.bits_per_second(many_small) < 50e6
    assert control.status(replace(status(4), rate=many_small), 1) is None
    assert control.rate == rates.sending_rate(50)
    assert silent_rows(control, 0, 3) == [49, 48, 18]
    assert control.status(status(5, row=50), 1) == rates.sending_rate(50)


@pytest.mark.parametrize(("rate", "sane"), [
    *((rates.sending_rate(row), True) for row in (0, 1, 9, 10, 11, 100, 567, 1000)),
    (SendingRate(interval_1_us=100, payload_1=1472, burst_1=8), True),
    (pdu.OFF, False),
    (SendingRate(interval_1_us=100, payload_1=1473, burst_1=1), False),
    (SendingRate(interval_1_us=100, payload_1=31, burst_1=1), False),
    (SendingRate(payload_1=1222, burst_1=1), False),
    (SendingRate(interval_2_us=1000, addon_2=8972), False),
    (SendingRate(interval_2_us=50_000, addon_2=RANDOM_SIZE | 1222), True),
    (SendingRate(interval_2_us=50_000, addon_2=RANDOM_SIZE | 9000), False),
])  # fmt: skip
def test_rates_that_a_table_can_contain(rate: SendingRate, sane: bool) -> None:
    assert is_sane(rate) is sane


def test_an_impossible_first_rate_is_replaced_by_the_lowest() -> None:
    assert RemoteSearch(replace(SEARCH, rate=pdu.OFF), 50, 0).rate == rates.sending_rate(0)
