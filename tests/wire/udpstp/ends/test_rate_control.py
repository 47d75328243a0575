"""What decides a sender's rate: feedback, the lack of it, and a peer that may say anything."""

import pytest
from msgspec.structs import replace

from wire.udpstp import pdu, rates
from wire.udpstp.ends.rate_control import FixedRate, RateControl, Searching, Told, is_sane
from wire.udpstp.pdu import RANDOM_SIZE, SendingRate

MS = 1_000_000
FIXED = pdu.Activation(command=1, row=8, test_s=1, auth_time=0, key_id=0)
SEARCH = replace(FIXED, row=pdu.SEARCH_INDEX, rate=rates.sending_rate(0))


def status(sequence: int, row: int = 0, *, delay: int = 0, lost: int = 0) -> pdu.Status:
    return pdu.Status(
        sequence=sequence, rate=rates.sending_rate(row), delay_sum=delay, delay_count=1, lost=lost
    )


def silent_rows(control: RateControl, begin: int, steps: int) -> list[float]:
    """The rates of so many steps of silence, each asked for exactly when it is due and not before."""
    found = []
    now = begin
    for _ in range(steps):
        assert control.silent(control.deadline - 1) is None
        now = control.deadline
        control.silent(now)
        assert control.deadline == now + 50 * MS
        found.append(rates.bits_per_second(control.rate) / 1e6)
    return found


def test_a_fixed_rate_steps_down_in_silence_and_is_restored_by_feedback() -> None:
    control = FixedRate(replace(FIXED, row=100), 0)
    assert control.deadline == 1000 * MS
    assert control.heard(status(1), 100 * MS) is None
    assert control.deadline == 290 * MS
    assert silent_rows(control, 0, 4) == [99, 98, 68, 67]
    assert control.heard(status(2), 500 * MS) == rates.sending_rate(100)
    assert silent_rows(control, 0, 3) == [99, 98, 68]
    assert control.backoff_steps == 7


def test_a_search_takes_a_step_a_status_but_none_for_an_old_one() -> None:
    control = Searching(SEARCH, 25, 0)
    assert control.rate == rates.sending_rate(0)
    assert control.heard(status(1), 1) == rates.sending_rate(10)
    assert control.heard(status(1), 1) is None
    assert control.heard(status(4), 1) == rates.sending_rate(20)
    assert control.heard(status(3), 1) is None
    assert control.heard(status(5), 1) == rates.sending_rate(25)
    assert control.heard(status(6), 1) is None
    assert control.heard(status(7, delay=91), 1) == rates.sending_rate(24)


def test_silence_is_a_bad_sign_to_a_search_and_stays_one() -> None:
    control = Searching(replace(SEARCH, row=100, modifiers=1), 1000, 0)
    assert silent_rows(control, 0, 3) == [99, 98, 68]
    assert control.heard(status(1), 1) == rates.sending_rate(69)


def test_a_sender_obeys_its_peer_up_to_what_was_asked() -> None:
    control = Told(SEARCH, 50, 0)
    assert control.heard(status(1, row=40), 1) == rates.sending_rate(40)
    assert control.heard(status(2, row=900), 1) == rates.sending_rate(50)
    assert control.heard(replace(status(3), rate=pdu.OFF), 1) is None
    many_small = SendingRate(interval_1_us=100, payload_1=32, burst_1=9)
    assert rates.bits_per_second(many_small) < 50e6
    assert control.heard(replace(status(4), rate=many_small), 1) is None
    assert control.rate == rates.sending_rate(50)
    assert silent_rows(control, 0, 3) == [49, 48, 18]
    assert control.heard(status(5, row=50), 1) == rates.sending_rate(50)


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
def test_what_a_table_may_mean(rate: SendingRate, sane: bool) -> None:
    assert is_sane(rate) is sane


def test_a_first_rate_that_means_nothing_is_replaced_by_the_lowest() -> None:
    assert Told(replace(SEARCH, rate=pdu.OFF), 50, 0).rate == rates.sending_rate(0)
