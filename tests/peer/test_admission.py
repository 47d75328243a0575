from collections.abc import Sequence
from itertools import pairwise

import pytest

from peer.admission import Admission, AdmissionLimits, Admitted, Denial, Ticket
from peer.reputation import Holder, Trust
from wire.records import Direction

DOWN, UP = Direction.DOWN, Direction.UP
S = 1_000_000_000
SITE = Holder(1, "192.0.2.1")


def of(key_id: int, host: int = 1) -> Holder:
    return Holder(key_id, f"192.0.2.{host}")


def ticket(found: Admitted | Denial) -> Ticket:
    assert isinstance(found, Admitted)
    return found.ticket


def served(admission: Admission, holder: Holder, direction: Direction, rate: int, now: int = 0) -> Ticket:
    """Set a test up whose client proves that it hears."""
    found = ticket(admission.admit(holder, direction, rate, now))
    admission.proved(found, now)
    return found


def miss(admission: Admission, holders: Sequence[Holder], now: int, rate: int = 1) -> None:
    """Set tests up that nobody activates, one after the other."""
    for holder in holders:
        admission.release(ticket(admission.admit(holder, DOWN, rate, now)), now)


def test_bandwidth_is_counted_per_direction() -> None:
    admission = Admission(AdmissionLimits(down_bps=20, up_bps=10, sessions=9))
    first = served(admission, of(1), DOWN, 12)
    assert admission.admit(of(1), DOWN, 9, 0) is Denial.BANDWIDTH
    served(admission, of(1), UP, 10)
    served(admission, of(2), DOWN, 8)
    admission.release(first, 0)
    served(admission, of(3), DOWN, 12)


def test_sessions_in_all() -> None:
    admission = Admission(AdmissionLimits(down_bps=99, up_bps=99, sessions=2))
    first, _ = (served(admission, of(key), direction, 1) for key, direction in ((1, DOWN), (2, UP)))
    assert admission.admit(of(3), UP, 1, 0) is Denial.SESSIONS
    assert admission.running == 2
    admission.release(first, 0)
    served(admission, of(3), UP, 1)


def test_tests_of_one_key_in_one_direction() -> None:
    admission = Admission(AdmissionLimits(down_bps=99, up_bps=99, sessions=9, tests_per_key=1))
    first = served(admission, of(1), DOWN, 1)
    assert admission.admit(of(1, 2), DOWN, 1, 0) is Denial.KEY
    served(admission, of(1), UP, 1)
    served(admission, of(2), DOWN, 1)
    admission.release(first, 0)
    served(admission, of(1), DOWN, 1)


def test_a_second_release_of_a_ticket_changes_nothing() -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    first = served(admission, of(1), DOWN, 10)
    admission.release(first, 0)
    admission.release(first, 0)
    served(admission, of(1), DOWN, 10)
    assert admission.admit(of(1), DOWN, 1, 0) is Denial.BANDWIDTH


@pytest.mark.parametrize(("pending", "asking", "displaced"), [
    (Trust.MISSING, Trust.DOUBTFUL, True),
    (Trust.MISSING, Trust.UNKNOWN, True),
    (Trust.DOUBTFUL, Trust.DOUBTFUL, True),
    (Trust.DOUBTFUL, Trust.UNKNOWN, True),
    (Trust.UNKNOWN, Trust.DOUBTFUL, False),
    (Trust.UNKNOWN, Trust.UNKNOWN, False),
    (Trust.UNKNOWN, Trust.PROVEN, True),
    (Trust.PROVEN, Trust.UNKNOWN, False),
    (Trust.PROVEN, Trust.PROVEN, False),
])  # fmt: skip
@pytest.mark.parametrize("running", [False, True])
def test_which_pending_test_gives_way(pending: Trust, asking: Trust, displaced: bool, running: bool) -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    first, second = _with(admission, pending, 1), _with(admission, asking, 2)
    # Both ask for more than half, so that shares decide nothing.
    held = ticket(admission.admit(first, DOWN, 10, 99 * S))
    assert held.trust is pending
    if running:
        admission.proved(held, 99 * S)
    found = admission.admit(second, DOWN, 10, 99 * S)
    if displaced and not running:
        assert found == Admitted(ticket(found), (held,))
        assert ticket(found).trust is asking
    else:
        assert found is Denial.BANDWIDTH


def _with(admission: Admission, trust: Trust, key_id: int) -> Holder:
    holder = of(key_id)
    if trust is Trust.PROVEN:
        admission.release(served(admission, holder, UP, 1, 30 * S), 30 * S)
    elif trust is Trust.MISSING:
        miss(admission, [holder] * 2, 96 * S)  # and it has waited
    elif trust is Trust.DOUBTFUL:
        miss(admission, [of(key_id, other) for other in (11, 12, 13, 14)], 60 * S)
    return holder


@pytest.mark.parametrize(("flood", "site"), [
    pytest.param(of(2, 9), of(1), id="another key"),
    pytest.param(of(1, 9), of(1), id="the same key"),
])  # fmt: skip
def test_a_burst_of_one_holder_refuses_nobody_else(flood: Holder, site: Holder) -> None:
    """More than half of the room gives way at once, before the first of the burst counts as a miss."""
    admission = Admission(AdmissionLimits(down_bps=1000, up_bps=1000, sessions=8))
    for _ in range(100):
        admission.admit(flood, DOWN, 200, 0)
    assert isinstance(admission.admit(site, DOWN, 8, 0), Admitted)
    assert isinstance(admission.admit(site, UP, 8, 0), Admitted)


@pytest.mark.parametrize("forged", [False, True])
@pytest.mark.parametrize("key_id", [1, 2])
@pytest.mark.parametrize("every_ms", [5, 500])
def test_set_ups_that_nobody_activates_refuse_no_test_of_a_site(
    forged: bool, key_id: int, every_ms: int
) -> None:
    """A flood of the whole bandwidth, by the site's own key or another, from one address or forged ones."""
    admission = Admission(AdmissionLimits(down_bps=1000, up_bps=1000, sessions=32))
    pending: dict[Ticket, int] = {}
    refused = []
    for now in range(0, 60 * S, every_ms * 1_000_000):
        for old in [old for old, until in pending.items() if until <= now]:
            admission.release(old, now)
            del pending[old]
        host = 2 + now // 1_000_000 % 60_000 if forged else 2
        found = admission.admit(Holder(key_id, f"10.0.{host >> 8}.{host & 255}"), DOWN, 1000, now)
        if isinstance(found, Admitted):
            pending[found.ticket] = now + 2 * S
        if now > 10 * S and now % S == 0:
            mine = admission.admit(SITE, DOWN, 8, now)
            refused.append(mine if isinstance(mine, Denial) else None)
            if isinstance(mine, Admitted):
                admission.proved(mine.ticket, now)
                admission.release(mine.ticket, now)
    assert refused == [None] * 49


def test_who_does_not_activate_waits_longer_each_time() -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    admitted_at = []
    for now in range(0, 300 * S, S // 10):
        found = admission.admit(SITE, DOWN, 1, now)
        if isinstance(found, Admitted):
            admitted_at.append(now / S)
            admission.release(found.ticket, now)
        else:
            assert found is Denial.WAITING
    gaps = [round(after - before, 1) for before, after in pairwise(admitted_at)]
    assert gaps == [0.1, 2, 4, 8, 16, 32, 64, 64, 64]
    proved = ticket(admission.admit(SITE, DOWN, 1, 400 * S))
    admission.proved(proved, 400 * S)
    admission.release(proved, 400 * S)
    miss(admission, [SITE, SITE, SITE], 401 * S)  # a proved address never waits: another may have written it
    assert isinstance(admission.admit(SITE, DOWN, 1, 401 * S), Admitted)


def test_a_forged_set_up_in_a_sites_name_does_not_make_it_wait() -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    admission.release(served(admission, SITE, DOWN, 10), 0)
    for number in range(50):
        now = number * S
        forged = admission.admit(SITE, DOWN, 10, now)
        if isinstance(forged, Admitted):
            admission.release(forged.ticket, now + S // 2)
    assert isinstance(admission.admit(SITE, DOWN, 10, 60 * S), Admitted)
    assert isinstance(admission.admit(of(2), DOWN, 10, 60 * S), Admitted), "nor does it keep others out"


def test_those_who_have_the_room_leave_a_turn_to_who_was_refused() -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    admission.release(served(admission, of(2), DOWN, 10), 0)
    first = served(admission, of(1), DOWN, 10)
    assert admission.admit(of(2), DOWN, 10, S) is Denial.BANDWIDTH
    admission.release(first, 2 * S)
    assert admission.admit(of(1), DOWN, 10, 2 * S) is Denial.TURN
    assert isinstance(admission.admit(of(1), UP, 10, 2 * S), Admitted), "the other direction is free"
    assert isinstance(admission.admit(of(3), DOWN, 1, 2 * S), Admitted), "so is who had none of it"
    second = served(admission, of(2), DOWN, 9, 5 * S)
    admission.release(second, 6 * S)
    assert isinstance(admission.admit(of(1), DOWN, 9, 6 * S), Admitted)


def test_a_turn_that_is_not_taken_ends_and_counts_as_a_miss() -> None:
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    admission.release(served(admission, of(2), DOWN, 10), 0)
    denied = []
    for number in range(4):
        now = number * 20 * S
        first = served(admission, of(1), DOWN, 10, now)
        assert admission.admit(of(2), DOWN, 10, now + S) is Denial.BANDWIDTH
        admission.release(first, now + 2 * S)
        after = [admission.admit(of(1), DOWN, 10, now + seconds * S) for seconds in (2, 12)]
        denied.append(after[0] is Denial.TURN)
        admitted = [one for one in after if isinstance(one, Admitted)]
        assert len(admitted) == 1
        admission.release(admitted[0].ticket, now + 12 * S, is_miss=False)
    assert denied == [True, True, False, False]


def test_who_has_proved_nothing_has_no_turn() -> None:
    """Set-ups of forged addresses, each refused: none of them ever counts as a miss."""
    admission = Admission(AdmissionLimits(down_bps=10, up_bps=10, sessions=9))
    for number in range(20):
        first = served(admission, of(1), DOWN, 10, number * S)
        assert admission.admit(of(2, 10 + number), DOWN, 10, number * S) is Denial.BANDWIDTH
        admission.release(first, number * S)


def test_one_holder_that_runs_tests_without_end_lets_the_others_in() -> None:
    """Each of its tests proves that it hears, and takes the whole bandwidth for 10 s."""
    admission = Admission(AdmissionLimits(down_bps=1000, up_bps=1000, sessions=4))
    admission.release(served(admission, SITE, DOWN, 8), 0)
    until, mine, served_at = 0, None, []
    for now in range(0, 120 * S, S // 2):
        if mine is not None and now >= until:
            admission.release(mine, now)
            mine = None
        if mine is None:
            found = admission.admit(of(2), DOWN, 1000, now)
            if isinstance(found, Admitted):
                mine, until = found.ticket, now + 10 * S
                admission.proved(mine, now)
        # An agent that finds no room comes back after 4 s.
        if now % (4 * S) == 0 and isinstance(site := admission.admit(SITE, DOWN, 8, now), Admitted):
            served_at.append(now / S)
            admission.proved(site.ticket, now)
            admission.release(site.ticket, now)
    assert max(after - before for before, after in pairwise([0.0, *served_at])) <= 14
